"""A model is known by its content: registered once, revoked for good."""

from __future__ import annotations

import pytest

from reflex.errors import ServiceError
from reflex_control.identity.actor import Actor
from reflex_control.plane import Plane
from reflex_control.receipting import receipts_of
from reflex_control.registry.models import model_as_json, register_model, revoke_model
from unit.reflex_control.scene import CONTENT_HASH, a_model


def test_the_same_name_and_content_are_the_same_model_with_one_receipt(plane: Plane, actor: Actor) -> None:
    first, again = a_model(plane, actor), a_model(plane, actor)

    with plane.reading() as connection:
        receipts = receipts_of(connection, actor.organisation_id)
    assert first == again
    assert (first["modelVersion"], first["family"], first["trained"]) == ("pick_cup@555555555555", "act", True)
    assert [receipt["modelVersion"] for receipt in receipts] == ["pick_cup@555555555555"]


def test_a_revoked_model_is_not_registered_again(plane: Plane, actor: Actor) -> None:
    identity = a_model(plane, actor)["id"]
    with plane.writing(actor) as writing:
        assert model_as_json(revoke_model(writing, identity, "leaked"))["revokedAt"] is not None

    with pytest.raises(ServiceError) as refused:
        a_model(plane, actor)

    assert (refused.value.code, refused.value.context) == ("conflict", {"id": identity})


@pytest.mark.parametrize("content_hash", ["", "sha256:5", "5" * 64, "sha256:" + "G" * 64, "sha256:" + "٣" * 64])
def test_a_content_hash_is_a_sha256(plane: Plane, actor: Actor, content_hash: str) -> None:
    with pytest.raises(ServiceError) as refused, plane.writing(actor) as writing:
        register_model(writing, "pick_cup", content_hash, {}, None)

    assert (refused.value.code, refused.value.context) == ("invalid_value", {"field": "contentHash"})


def test_a_config_of_another_policy_is_refused(plane: Plane, actor: Actor) -> None:
    with pytest.raises(ServiceError, match="policy_hash"), plane.writing(actor) as writing:
        register_model(writing, "pick_cup", CONTENT_HASH, {"policy_hash": "sha256:" + "6" * 64}, None)


def test_another_organisations_model_is_not_found(plane: Plane, actor: Actor, stranger: Actor) -> None:
    identity = a_model(plane, actor)["id"]

    with pytest.raises(ServiceError) as refused, plane.writing(stranger) as writing:
        revoke_model(writing, identity, None)

    assert refused.value.status == 404
