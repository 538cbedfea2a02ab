"""Datasets and training runs over HTTP, by a real control plane: who may, what is refused, what a worker is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier
from typing import Any

import pytest

from reflex.control import ControlClient
from reflex.control.errors import DatasetUnvalidatedError
from reflex.control.run_queue import HttpRunQueue
from reflex.errors import InvalidRequestError, UnauthorizedError
from reflex.training.port import Ending, Exported, LeaseLostError, Metric, Progress, WorkerFacts
from reflex.training.request import LoraOptions, TrainingRequest
from support.outside.control_plane import ControlProcess, StoreOf, Tenant, prepared_store, running_control

HASH = "sha256:" + "ab" * 32
OTHER_HASH = "sha256:" + "cd" * 32
AT_ONCE = 64
WORKER = WorkerFacts(worker_id="worker_1", name="gpu box", families=("act",))


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    ours: Tenant
    theirs: Tenant
    client: ControlClient

    def registered(self, place: str, content_hash: str = HASH) -> str:
        made = self.client.register_dataset(name=place, place=place, content_hash=content_hash, files=3, size_bytes=30)
        return made["id"]

    def valid(self, place: str = "cubes") -> str:
        identity = self.registered(place)
        for state in ("validating", "valid"):
            self.client.note_dataset_validation(identity, content_hash=HASH, state=state, verdict={"errors": 0})
        return identity

    def request(self, **changed: Any) -> TrainingRequest:
        return replace(TrainingRequest(dataset_id=self.valid(), base="act", steps=100), **changed)


@pytest.fixture(scope="module")
def scene(store_of: StoreOf) -> Iterator[Scene]:
    with (
        prepared_store(store_of.folder, store_of.url) as (ours, theirs),
        running_control(store_of.folder, *store_of.options) as control,
        ControlClient(control.base_url, api_key=ours.admin().secret) as client,
    ):
        yield Scene(control, ours, theirs, client)


@pytest.fixture(autouse=True)
def nothing_waits(scene: Scene) -> Iterator[None]:
    """After a test: what one leaves in the queue would be claimed in the next."""
    yield
    for run in scene.client.list_training_runs(all=True, state="queued")["runs"]:
        scene.client.cancel_training_run(run["id"])


def test_a_dataset_is_registered_validated_and_unvalidated_again(scene: Scene) -> None:
    identity = scene.valid("validated")
    assert scene.client.get_dataset(identity)["state"] == "valid"
    assert identity in [each["id"] for each in scene.client.list_datasets()["datasets"]]

    assert scene.registered("validated", OTHER_HASH) == identity
    assert scene.client.get_dataset(identity)["state"] == "registered"


def test_training_rejects_an_unvalidated_dataset_in_the_words_of_the_documents(scene: Scene) -> None:
    identity = scene.registered("unvalidated")
    with pytest.raises(DatasetUnvalidatedError) as refused:
        scene.client.start_training_run(replace(scene.request(), dataset_id=identity))

    words = "Training rejects an unvalidated dataset. "
    assert str(refused.value) == f"{words}Run reflex datasets validate {identity} before starting training."


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [{"steps": 0}, {"batchSize": 0}, {"saveEvery": 1}, {"warmupSteps": 51}, {"lora": {"rank": 8}}, {"seed": -1},
     {"method": "lora_finetune", "lora": {"rank": 7}}, {"learningRate": 2}, {"then": ["register"]}, {"name": "../x"}],
)  # fmt: skip
def test_a_bound_is_refused_by_the_control_plane_itself_before_anything_is_queued(
    scene: Scene, broken: dict[str, Any]
) -> None:
    body = {"datasetId": scene.valid(), "base": "act", "steps": 100, **broken}
    key = scene.ours.admin().secret
    answer = scene.control.ask("POST", "/v1/training-runs", key, json=body)

    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_value")
    assert "nothing was queued" in answer.json()["message"]
    assert scene.client.list_training_runs(all=True, state="queued")["runs"] == []


def test_the_client_refuses_what_is_out_of_bounds_without_asking(scene: Scene) -> None:
    with pytest.raises(InvalidRequestError, match="LoRA options are for"):
        scene.client.start_training_run(scene.request(lora=LoraOptions()))


def test_sixty_four_starts_at_once_with_one_request_id_are_one_run(scene: Scene) -> None:
    request, start = scene.request(), Barrier(AT_ONCE)
    keys = [scene.ours.admin().secret for _ in range(4)]

    def started(number: int) -> str:
        with ControlClient(scene.control.base_url, api_key=keys[number % 4], deadline_s=120) as client:
            start.wait()
            return client.start_training_run(request, request_id="nightly")["id"]

    with ThreadPoolExecutor(AT_ONCE) as starters:
        ids = set(starters.map(started, range(AT_ONCE)))

    queued = scene.client.list_training_runs(all=True, state="queued")["runs"]
    assert [run["id"] for run in queued] == list(ids)


def test_a_run_from_its_start_to_its_receipt(scene: Scene) -> None:
    queue = HttpRunQueue(scene.client)
    first = scene.client.start_training_run(scene.request(then=("export",)))
    second = scene.client.start_training_run(scene.request(seed=2))
    assert [first["position"], second["position"]] == [1, 2]

    claim = queue.claim(WORKER)
    assert claim is not None
    assert (claim.run_id, claim.request.then, claim.dataset_hash) == (first["id"], ("export",), HASH)
    metrics = (Metric(step=50, loss=0.5, others={"l1_loss": 0.25}), Metric(step=60, loss=0.25))
    progress = Progress(state="running", step=60, log=("a", "b"), metrics=metrics)
    for _ in range(2):
        assert not queue.beat(claim.run_id, claim.lease_id, progress).is_cancelled

    exported = Exported(policy="pick", model_hash=HASH, repository="models", parity={"max_abs": 0.0})
    ending = Ending(state="succeeded", reason="trained", steps=100, exported=exported, log=("c",), first_line=2)
    for _ in range(2):
        queue.end(claim.run_id, claim.lease_id, ending)
    with pytest.raises(LeaseLostError):
        queue.beat(claim.run_id, claim.lease_id, progress)

    ended = scene.client.get_training_run(first["id"])
    assert (ended["state"], ended["step"], ended["reason"]) == ("succeeded", 100, "trained")
    assert scene.client.get_training_run(second["id"])["position"] == 1
    log = scene.client.get_training_log(first["id"], after=1)
    assert ([line["text"] for line in log["lines"]], log["nextLine"], log["isWhole"]) == (["b", "c"], 3, True)
    assert [each["step"] for each in scene.client.get_training_metrics(first["id"])["metrics"]] == [50, 60]
    (receipt,) = scene.client.list_receipts(kind="training_succeeded")["receipts"]
    assert (receipt["steps"], receipt["modelVersion"]) == (100, f"pick@{'ab' * 6}")


def test_a_run_that_is_cancelled_is_told_to_its_worker_at_the_next_beat(scene: Scene) -> None:
    queue = HttpRunQueue(scene.client)
    run = scene.client.start_training_run(scene.request())
    claim = queue.claim(WORKER)
    assert claim is not None
    progress = Progress(state="running", step=1)
    assert not queue.beat(claim.run_id, claim.lease_id, progress).is_cancelled
    assert scene.client.cancel_training_run(run["id"], reason="wrong data")["isCancelAsked"]
    assert queue.beat(claim.run_id, claim.lease_id, progress).is_cancelled

    queue.end(claim.run_id, claim.lease_id, Ending(state="cancelled", reason="wrong data", steps=1))
    assert scene.client.get_training_run(run["id"])["state"] == "cancelled"


def test_own_runs_are_one_key_s_and_all_are_everybody_s(scene: Scene) -> None:
    run = scene.client.start_training_run(scene.request())
    assert run["id"] in [each["id"] for each in scene.client.list_training_runs()["runs"]]
    page = scene.client.list_training_runs(all=True, limit=1)
    rest = scene.client.list_training_runs(all=True, after=page["nextAfter"])
    assert rest["runs"][-1]["id"] == run["id"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scope", "may"), [("read", (True, False)), ("train", (True, True)), ("write", (False, False))]
)
def test_reading_needs_read_or_train_and_everything_else_train(
    scene: Scene, scope: Any, may: tuple[bool, bool]
) -> None:
    dataset_id = scene.valid()
    with ControlClient(scene.control.base_url, api_key=scene.ours.key(scope).secret) as client:
        calls: tuple[Callable[[], object], ...] = (
            client.list_datasets,
            lambda: client.note_dataset_validation(dataset_id, content_hash=HASH, state="valid"),
        )
        for call, is_allowed in zip(calls, may, strict=True):
            if is_allowed:
                call()
            else:
                with pytest.raises(UnauthorizedError, match="has no scope"):
                    call()


def test_another_organisation_sees_none_of_it_and_works_on_none_of_it(scene: Scene) -> None:
    run = scene.client.start_training_run(scene.request())
    with ControlClient(scene.control.base_url, api_key=scene.theirs.admin().secret) as stranger:
        assert stranger.list_training_runs(all=True)["runs"] == []
        assert HttpRunQueue(stranger).claim(WORKER) is None
        for call in (stranger.get_training_run, stranger.get_training_log, stranger.cancel_training_run):
            with pytest.raises(InvalidRequestError) as refused:
                call(run["id"])
            assert refused.value.status == 404
