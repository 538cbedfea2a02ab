"""A run is refused before it is queued or never; it waits in its order, and ends once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from reflex.errors import ServiceError
from reflex.training.request import LoraOptions
from reflex_control.identity.actor import Actor
from reflex_control.training import runs
from reflex_control.training.runs import positions, runs_of, start_run
from unit.reflex_control.training.training_scene import Scene

AT_ONCE = 64


def test_it_is_queued_on_what_was_validated_with_a_receipt(scene: Scene) -> None:
    started = scene.start()

    assert (started["state"], started["position"], started["steps"], started["attempt"]) == ("queued", 1, 100, 0)
    assert started["request"]["batchSize"] == 8
    assert scene.receipts()[-1]["kind"] == "training_queued"
    assert scene.told("training_run")[-1]["state"] == "queued"


@pytest.mark.parametrize("state", ["registered", "validating", "invalid"])
def test_training_rejects_an_unvalidated_dataset(scene: Scene, state: str) -> None:
    identity = scene.register()["id"]
    if state != "registered":
        scene.validate(identity, state)

    with pytest.raises(ServiceError) as refused:
        scene.start(dataset_id=identity)

    words = "Training rejects an unvalidated dataset. "
    assert refused.value.message.startswith(f"{words}Run reflex datasets validate {identity} before starting training.")
    assert (refused.value.code, refused.value.status) == ("dataset_unvalidated", 409)
    assert refused.value.context == {"datasetId": identity, "state": state}


def test_every_bound_is_refused_before_anything_is_queued(scene: Scene) -> None:
    with pytest.raises(ServiceError, match="nothing was queued") as refused:
        scene.start(steps=0, lora=LoraOptions(rank=5))

    assert refused.value.code == "invalid_value"
    assert len(refused.value.context["problems"]) == 3
    with scene.plane.reading() as connection:
        assert runs_of(connection, scene.actor) == []


def test_a_dataset_of_another_organisation_is_none(scene: Scene, stranger: Actor) -> None:
    identity = scene.register(actor=stranger)["id"]
    with pytest.raises(ServiceError, match="datasetId names nothing"):
        scene.start(dataset_id=identity)


def test_the_same_request_id_is_the_same_run_whatever_became_of_it(scene: Scene) -> None:
    first = scene.start("nightly")
    scene.cancel(first["id"])

    again = scene.start("nightly")
    assert (again["id"], again["state"]) == (first["id"], "cancelled")
    assert scene.start("nightly-2")["id"] != first["id"]


def test_the_same_request_id_for_another_run_is_refused(scene: Scene) -> None:
    first = scene.start("nightly")
    with pytest.raises(ServiceError, match="choose another") as refused:
        scene.start("nightly", seed=7)
    assert (refused.value.code, refused.value.context) == ("idempotency_mismatch", {"runId": first["id"]})


@pytest.mark.slow
def test_sixty_four_starts_at_once_with_one_request_id_are_one_run(scene: Scene) -> None:
    request, start = scene.request(), Barrier(AT_ONCE)

    def started() -> str:
        start.wait()
        with scene.plane.writing(scene.actor) as writing:
            return str(start_run(writing, request, "nightly")["id"])

    with ThreadPoolExecutor(AT_ONCE) as starters:
        ids = {each.result() for each in [starters.submit(started) for _ in range(AT_ONCE)]}

    with scene.plane.reading() as connection:
        assert [row.id for row in runs_of(connection, scene.actor)] == list(ids)


def test_runs_wait_in_their_order_and_move_up(scene: Scene) -> None:
    ids = []
    for _ in range(3):
        scene.moment.now_ms += 1
        ids.append(scene.start()["id"])
    with scene.plane.reading() as connection:
        assert positions(connection, scene.actor.organisation_id) == {ids[0]: 1, ids[1]: 2, ids[2]: 3}

    scene.cancel(ids[0])
    assert [scene.run(each)["position"] for each in ids] == [None, 1, 2]


def test_a_full_queue_takes_no_more(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "MOST_QUEUED", 1)
    scene.start()
    with pytest.raises(ServiceError, match="queued already"):
        scene.start()


def test_own_runs_are_those_of_the_key_and_a_page_follows_another(scene: Scene, plane: Any, stranger: Actor) -> None:
    ids = []
    for _ in range(3):
        scene.moment.now_ms += 1
        ids.append(scene.start()["id"])
    other = Actor(scene.actor.key_id, "another", scene.actor.organisation_id, scene.actor.scopes)

    with scene.plane.reading() as connection:
        assert [row.id for row in runs_of(connection, scene.actor, of_all=False)] == ids
        assert runs_of(connection, other, of_all=False) == []
        assert [row.id for row in runs_of(connection, other, after=ids[0], limit=1)] == [ids[1]]
        assert runs_of(connection, other, state="running") == []
        assert runs_of(connection, stranger) == []


def test_what_waits_is_cancelled_at_once_and_stays_so(scene: Scene) -> None:
    run_id = scene.start()["id"]
    assert scene.cancel(run_id)["state"] == "cancelled"
    assert scene.cancel(run_id)["endedAt"] is not None
    assert [each["kind"] for each in scene.receipts()].count("training_cancelled") == 1


def test_what_runs_is_cancelled_by_its_worker(scene: Scene) -> None:
    run_id = scene.start()["id"]
    claim = scene.claimed()
    assert scene.beat(claim) == {"isCancelled": False}

    for _ in range(2):
        asked = scene.cancel(run_id)
        assert (asked["state"], asked["isCancelAsked"]) == ("running", True)
    assert scene.beat(claim) == {"isCancelled": True}
    assert scene.end(claim, "cancelled")["state"] == "cancelled"
    assert [each["kind"] for each in scene.receipts()].count("training_cancel_asked") == 1
