"""A run is one worker's at a time: claimed by a lease, kept by beats, taken back from who is silent."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from reflex.training.port import MOST_ATTEMPTS, LeaseLostError, WorkerFacts
from reflex.training.request import TrainingRequest
from reflex_control.identity.actor import Actor
from reflex_control.training.queue import LEASE_MS, can_do, is_any_waiting, sweep_runs
from unit.reflex_control.training.training_scene import HASH, WORKER, Scene

OTHER = dataclasses.replace(WORKER, worker_id="worker_2", name="laptop")
EXPORTED = {"policy": "pick", "modelHash": HASH, "repository": "models", "parity": {"max_abs": 0.0}}


def two_runs(scene: Scene) -> list[str]:
    first = scene.start()["id"]
    scene.moment.now_ms += 1
    return [first, scene.start(seed=2)["id"]]


def test_the_oldest_is_claimed_first_with_all_that_a_worker_needs(scene: Scene) -> None:
    first, second = two_runs(scene)
    claim = scene.claimed()

    assert (claim["runId"], claim["attempt"], claim["leaseSeconds"]) == (first, 1, 60.0)
    assert (claim["datasetPath"], claim["datasetHash"], claim["request"]["base"]) == ("cubes", HASH, "act")
    scene.beat(claim)
    assert scene.claimed()["runId"] == second
    assert scene.run(first)["worker"] == {"workerId": "worker_1", "name": "gpu box"}


def test_nothing_is_claimed_where_nothing_waits(scene: Scene) -> None:
    assert scene.claim() is None


def test_a_claim_whose_answer_was_lost_gets_the_same_run_again(scene: Scene) -> None:
    two_runs(scene)
    first = scene.claimed()
    assert scene.claimed() == first
    assert scene.claimed(OTHER)["runId"] != first["runId"]
    with scene.plane.reading() as connection:
        assert is_any_waiting(connection, scene.actor.organisation_id, WORKER)
    scene.beat(first)
    with scene.plane.reading() as connection:
        assert not is_any_waiting(connection, scene.actor.organisation_id, WORKER)


def test_only_what_was_validated_is_claimed(scene: Scene) -> None:
    dataset_id = scene.start()["datasetId"]
    scene.validate(dataset_id, "validating")
    assert scene.claim() is None
    scene.validate(dataset_id, "valid")
    assert scene.claim() is not None


@pytest.mark.parametrize(
    ("worker", "base", "method", "can"),
    [
        ({"families": ("act",)}, "act", "full_finetune", True),
        ({"families": ("act",)}, "pi0", "full_finetune", False),
        ({"families": ()}, "diffusion", "full_finetune", True),
        ({"families": ("act",)}, "model:a/b", "full_finetune", True),
        ({"gpu_memory_bytes": 24 * 10**9}, "pi0", "full_finetune", False),
        ({"gpu_memory_bytes": 24 * 10**9}, "model:lerobot/pi0_base", "lora_finetune", True),
        ({"gpu_memory_bytes": 80 * 10**9}, "pi05", "full_finetune", True),
        ({"gpu_memory_bytes": 8 * 10**9}, "act", "full_finetune", True),
    ],
)
def test_a_worker_gets_what_it_can_do(worker: dict[str, Any], base: str, method: Any, can: bool) -> None:
    facts = WorkerFacts(worker_id="w", name="n", **worker)
    assert can_do(facts, TrainingRequest(dataset_id="data_1", base=base, method=method)) is can


def test_what_one_worker_cannot_do_waits_for_another(scene: Scene) -> None:
    first, second = scene.start(base="diffusion")["id"], scene.start(base="act")["id"]
    assert scene.claimed()["runId"] == second
    assert scene.claimed(WorkerFacts(worker_id="w", name="n"))["runId"] == first


def test_beats_keep_the_lease(scene: Scene) -> None:
    run_id = scene.start()["id"]
    claim = scene.claimed()
    for step in range(1, 4):
        scene.moment.now_ms += LEASE_MS - 1
        scene.beat(claim, step)
        sweep_runs(scene.plane)
    assert (scene.run(run_id)["state"], scene.run(run_id)["step"]) == ("running", 3)


def test_a_silent_workers_run_goes_back_and_to_another_and_the_first_one_has_lost_it(scene: Scene) -> None:
    run_id = scene.start()["id"]
    lost = scene.claimed()
    scene.beat(lost, 40)
    scene.moment.now_ms += LEASE_MS
    sweep_runs(scene.plane)

    waiting = scene.run(run_id)
    assert (waiting["state"], waiting["position"]) == ("queued", 1)
    assert "gpu box was silent for 60 s" in str(waiting["reason"])
    again = scene.claimed(OTHER)
    assert (again["runId"], again["attempt"]) == (run_id, 2)
    for call in (scene.beat, scene.end):
        with pytest.raises(LeaseLostError):
            call(lost)
    assert scene.beat(again, 41) == {"isCancelled": False}


def test_a_claim_takes_back_what_is_over_itself(scene: Scene) -> None:
    run_id = scene.start()["id"]
    scene.claimed()
    scene.moment.now_ms += LEASE_MS
    assert scene.claimed(OTHER)["runId"] == run_id


def test_after_a_time_in_which_nobody_was_heard_every_worker_has_a_lease_s_time(scene: Scene) -> None:
    run_id = scene.start()["id"]
    claim = scene.claimed()
    scene.moment.now_ms += 10 * LEASE_MS
    started_ms = scene.moment.now_ms
    restarted = dataclasses.replace(scene.plane, deaf_until=lambda: started_ms)
    sweep_runs(restarted)
    assert scene.run(run_id)["state"] == "provisioning"
    scene.moment.now_ms += LEASE_MS
    sweep_runs(restarted)
    assert scene.run(run_id)["state"] == "queued"
    assert claim["attempt"] == 1


def test_a_run_that_loses_worker_after_worker_fails_with_the_reason(scene: Scene) -> None:
    run_id = scene.start()["id"]
    for _ in range(MOST_ATTEMPTS):
        scene.claimed()
        scene.moment.now_ms += LEASE_MS
        sweep_runs(scene.plane)

    ended = scene.run(run_id)
    assert (ended["state"], ended["attempt"]) == ("failed", MOST_ATTEMPTS)
    assert "silent" in str(ended["reason"])


def test_a_cancelled_run_whose_worker_is_gone_is_cancelled(scene: Scene) -> None:
    run_id = scene.start()["id"]
    claim = scene.claimed()
    scene.cancel(run_id)
    scene.moment.now_ms += LEASE_MS
    sweep_runs(scene.plane)

    assert scene.run(run_id)["state"] == "cancelled"
    with pytest.raises(LeaseLostError):
        scene.end(claim, "cancelled")


def test_an_end_is_said_once_and_again_without_a_second_receipt(scene: Scene) -> None:
    scene.start()
    claim = scene.claimed()
    ended = scene.end(claim, exported=EXPORTED)
    assert scene.end(claim, "failed") == ended

    assert (ended["state"], ended["step"], ended["exported"]) == ("succeeded", 100, EXPORTED)
    (receipt,) = [each for each in scene.receipts() if each["kind"] == "training_succeeded"]
    assert (receipt["steps"], receipt["modelVersion"]) == (100, f"pick@{'ab' * 6}")
    assert HASH in receipt["reason"]
    with pytest.raises(LeaseLostError):
        scene.beat(claim)


def test_another_organisation_s_worker_gets_nothing(scene: Scene, stranger: Actor) -> None:
    scene.start()
    assert dataclasses.replace(scene, actor=stranger).claim() is None
