"""A dataset is known by its place and its content: a verdict holds for the very content that it was found on."""

from __future__ import annotations

import pytest

from reflex.errors import ServiceError
from reflex.training.states import DatasetState
from reflex_control.identity.actor import Actor
from unit.reflex_control.training.training_scene import HASH, OTHER_HASH, Scene


def test_the_same_place_and_content_is_the_same_dataset_with_one_receipt(scene: Scene) -> None:
    first, again = scene.register(), scene.register()

    assert first == again
    assert (first["state"], first["contentHash"], first["verdict"]) == ("registered", HASH, None)
    assert [receipt["kind"] for receipt in scene.receipts()] == ["dataset_registered"]


def test_it_goes_from_registered_over_validating_to_a_verdict(scene: Scene) -> None:
    identity = scene.register()["id"]
    states = [scene.validate(identity, state)["state"] for state in ("validating", "invalid", "validating", "valid")]

    assert states == ["validating", "invalid", "validating", "valid"]
    assert [told["state"] for told in scene.told("dataset")] == ["registered", *states]
    kinds = [receipt["kind"] for receipt in scene.receipts()]
    assert kinds == ["dataset_registered", "dataset_found_invalid", "dataset_validated"]


def test_another_content_is_unvalidated_again(scene: Scene) -> None:
    identity = scene.valid()
    changed = scene.register(OTHER_HASH)

    assert (changed["id"], changed["state"], changed["verdict"]) == (identity, "registered", None)
    assert changed["validatedAt"] is None


def test_a_verdict_on_another_content_is_refused(scene: Scene) -> None:
    identity = scene.register()["id"]
    scene.validate(identity, "validating")
    scene.register(OTHER_HASH)

    with pytest.raises(ServiceError, match="changed since") as refused:
        scene.validate(identity, "valid")
    assert refused.value.code == "wrong_state"


def test_a_validation_that_begins_on_another_content_says_what_the_dataset_holds_now(scene: Scene) -> None:
    identity = scene.valid()
    begun = scene.validate(identity, "validating", OTHER_HASH)
    assert (begun["state"], begun["contentHash"]) == ("validating", OTHER_HASH)


def test_a_validation_can_be_given_up(scene: Scene) -> None:
    identity = scene.register()["id"]
    scene.validate(identity, "validating")
    assert scene.validate(identity, "registered")["state"] == "registered"


@pytest.mark.parametrize("state", ["valid", "invalid"])
def test_a_verdict_that_was_taken_is_not_given_up_by_who_did_not_hear_of_it(scene: Scene, state: DatasetState) -> None:
    identity = scene.register()["id"]
    scene.validate(identity, "validating")
    taken = scene.validate(identity, state)
    assert scene.validate(identity, "registered") == taken


@pytest.mark.slow
@pytest.mark.parametrize("change", ["content", "verdict"])
def test_what_waits_to_be_trained_on_it_fails_with_the_reason(scene: Scene, change: str) -> None:
    waiting = scene.start()
    if change == "content":
        scene.register(OTHER_HASH)
    else:
        scene.validate(waiting["datasetId"], "invalid")

    ended = scene.run(waiting["id"])
    assert ended["state"] == "failed"
    assert waiting["datasetId"] in str(ended["reason"])


def test_another_organisation_does_not_see_it(scene: Scene, stranger: Actor) -> None:
    assert scene.register()["id"] != scene.register(actor=stranger)["id"]


@pytest.mark.parametrize("content_hash", ["", "sha256:5", "5" * 64, "sha256:" + "G" * 64])
def test_a_content_hash_is_a_sha256(scene: Scene, content_hash: str) -> None:
    with pytest.raises(ServiceError) as refused:
        scene.register(content_hash)
    assert refused.value.context == {"field": "contentHash"}
