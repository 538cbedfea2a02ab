"""A claimed run against the stub trainer: it ends well, or with its reason, and leaves nothing running."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from reflex.processes.family import Family
from reflex.processes.guardian import living
from reflex.training.port import Ending, Orders, Progress
from reflex.training.request import LoraOptions, TrainingRequest
from reflex_learning.training.reporting import Pace
from reflex_learning.training.running import Place, work_on
from reflex_learning.training.settings import TrainerSettings
from support.trainer.stub import MemoryQueue, claimed, dataset_in, stub_python

STEPS = 120
PACE = Pace(beat_s=0.02)


@dataclass
class Bench:
    folder: Path
    family: Family
    monkeypatch: pytest.MonkeyPatch

    def run(
        self, queue: MemoryQueue, *, attempt: int = 1, request: TrainingRequest | None = None, **how: Any
    ) -> Ending | None:
        self.monkeypatch.setenv("STUB_TRAINER", json.dumps({"step_s": 0.002, **how}))
        asked = request or TrainingRequest(dataset_id="d", base="act", steps=STEPS, save_every=50, seed=3)
        run = claimed(asked, dataset_in(self.folder), attempt=attempt)
        ending = work_on(run, queue, self.place, self.family)
        assert living(self.family.mark, frozenset()) == []
        return ending

    @property
    def place(self) -> Place:
        settings = TrainerSettings(python=stub_python(self.folder / "environment"))
        return Place(folder=self.folder, settings=settings, repository=self.folder / "models", pace=PACE)

    @property
    def weights(self) -> bytes:
        last = self.folder / "runs" / "run_1" / "training" / "checkpoints" / "last"
        return (last / "pretrained_model" / "model.safetensors").read_bytes()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    family = Family()
    yield Bench(tmp_path, family, monkeypatch)
    family.end()


def test_a_run_ends_well_with_all_that_was_measured(bench: Bench) -> None:
    queue = MemoryQueue([])
    ending = bench.run(queue)

    assert ending is not None
    assert (ending.state, ending.steps) == ("succeeded", STEPS)
    assert queue.ending is not None
    assert queue.ending.state == "succeeded"
    assert [metric.step for metric in queue.metrics] == list(range(1, STEPS + 1))
    assert {metric.others["l1_loss"] == metric.loss for metric in queue.metrics} == {True}
    assert any("End of training" in line for line in queue.log)
    assert not any("Training:" in line for line in queue.log)
    assert set(queue.states) <= {"provisioning", "running"}
    assert queue.steps == sorted(queue.steps)


@pytest.mark.slow
def test_a_trainer_that_is_killed_goes_on_at_its_last_checkpoint(bench: Bench, tmp_path: Path) -> None:
    whole = Bench(tmp_path / "whole", bench.family, bench.monkeypatch)
    assert whole.run(MemoryQueue([])) is not None
    queue = MemoryQueue([])
    ending = bench.run(queue, kill_at=77)

    assert ending is not None
    assert (ending.state, ending.steps) == ("succeeded", STEPS)
    assert bench.weights == whole.weights
    assert "reflex: goes on at step 50 of 120" in queue.log


def test_one_that_is_killed_again_and_again_fails(bench: Bench) -> None:
    ending = bench.run(MemoryQueue([]), kill_at=7, always=True)

    assert ending is not None
    assert (ending.state, ending.reason) == ("failed", "the trainer was ended by SIGKILL from outside")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"fail_at": 60, "message": "no such camera"}, "the trainer failed: RuntimeError: no such camera"),
        ({"fail_at": 60, "message": "CUDA out of memory. Tried to"}, "the trainer ran out of memory"),
        ({"nan_from": 60}, "not a finite number twice in a row"),
        ({"exit_at": 60}, "before its last step"),
        ({"exit_at": 60, "code": 2}, "refused the run's arguments"),
    ],
)
def test_what_ends_a_trainer_is_the_reason(bench: Bench, how: dict[str, Any], reason: str) -> None:
    queue = MemoryQueue([])
    ending = bench.run(queue, **how)

    assert ending is not None
    assert ending.state == "failed"
    assert reason in ending.reason
    assert queue.log[-1] == f"reflex: failed: {ending.reason}"


@pytest.mark.slow
@pytest.mark.parametrize("deaf", [False, True])
def test_a_cancelled_run_leaves_nothing(bench: Bench, deaf: bool) -> None:
    queue = MemoryQueue([], cancels_at=55)
    ending = bench.run(queue, deaf=deaf)

    assert ending is not None
    assert ending.state == "cancelled"
    assert not (bench.folder / "runs" / "run_1" / "training").exists()


def test_a_run_that_is_another_workers_is_forgotten(bench: Bench) -> None:
    queue = MemoryQueue([], loses_at=55)

    assert bench.run(queue, hang_at=90) is None
    assert queue.ending is None


@pytest.mark.slow
def test_a_run_that_comes_back_goes_on_where_it_was(bench: Bench) -> None:
    # It is not done, however late it is heard that the run is lost.
    assert bench.run(MemoryQueue([], loses_at=70), hang_at=90) is None
    queue = MemoryQueue([])
    ending = bench.run(queue, attempt=2)

    assert ending is not None
    assert (ending.state, ending.steps) == ("succeeded", STEPS)
    assert any(line.startswith("reflex: goes on at step") for line in queue.log)
    assert min(metric.step for metric in queue.metrics) > 50


@pytest.mark.slow
def test_a_queue_that_cannot_be_reached_stops_nothing(bench: Bench) -> None:
    queue = MemoryQueue([], unreachable=20)
    ending = bench.run(queue)

    assert ending is not None
    assert ending.state == "succeeded"
    assert [metric.step for metric in queue.metrics] == list(range(1, STEPS + 1))


def test_lora_has_its_dropout(bench: Bench) -> None:
    model = bench.folder / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"type": "smolvla"}')
    asked = TrainingRequest(
        dataset_id="d", base=f"model:{model}", steps=50, method="lora_finetune", lora=LoraOptions(dropout=0.25)
    )
    queue = MemoryQueue([])
    bench.run(queue, request=asked)

    assert any('PEFT {"config": null, "r": 8, "lora_alpha": 16, "lora_dropout": 0.25}' in line for line in queue.log)


def test_what_breaks_a_bound_is_not_begun(bench: Bench) -> None:
    asked = TrainingRequest(dataset_id="d", base="act", steps=100, warmup_steps=60)
    for request, reason in ((asked, "half of the steps"), (replace(asked, warmup_steps=5), "no warm-up")):
        ending = bench.run(MemoryQueue([]), request=request)
        assert ending is not None
        assert reason in ending.reason


def test_a_dataset_that_changed_since_it_was_registered_is_not_trained_on(bench: Bench) -> None:
    run = claimed(TrainingRequest(dataset_id="data_1", base="act", steps=50), dataset_in(bench.folder))
    info = bench.folder / "dataset" / "meta" / "info.json"
    info.write_text(info.read_text() + "\n")
    ending = work_on(run, MemoryQueue([]), bench.place, bench.family)

    assert ending is not None
    assert (ending.state, ending.steps) == ("failed", 0)
    assert "`reflex datasets register" in ending.reason
    assert not (bench.folder / "runs" / "run_1" / "training").exists()


def test_nor_does_a_run_go_on_on_one(bench: Bench) -> None:
    assert bench.run(MemoryQueue([], loses_at=70), hang_at=90) is None
    before = claimed(TrainingRequest(dataset_id="data_1", base="act", steps=STEPS), bench.folder / "dataset", attempt=2)
    (bench.folder / "dataset" / "data").mkdir()
    (bench.folder / "dataset" / "data" / "more.parquet").write_bytes(b"more")
    ending = work_on(before, MemoryQueue([]), bench.place, bench.family)

    assert ending is not None
    assert (ending.state, "has changed since it was registered" in ending.reason) == ("failed", True)


def test_one_that_changes_while_it_is_trained_on_makes_no_policy(bench: Bench) -> None:
    class Meddled(MemoryQueue):
        def beat(self, run_id: str, lease_id: str, progress: Progress) -> Orders:
            tasks = bench.folder / "dataset" / "meta" / "tasks.parquet"
            if progress.step > 0 and not tasks.exists():
                tasks.write_bytes(b"other")
            return super().beat(run_id, lease_id, progress)

    ending = bench.run(Meddled([]))

    assert ending is not None
    assert (ending.state, "has changed since it was registered" in ending.reason) == ("failed", True)
