"""Datasets and training runs in a store, as the dashboard shows them: one that trains, one that waits, ended ones."""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import insert

from reflex.training.port import WorkerFacts
from reflex.training.request import TrainingRequest
from reflex.training.states import DatasetState
from reflex_control.store.tables import training_line, training_metric
from reflex_control.training.datasets import NewDataset, Validation, note_validation, register_dataset
from reflex_control.training.queue import Beat, End, beat_run, claim_run, end_claimed
from reflex_control.training.runs import start_run
from support.outside.lab import Lab

__all__ = ["TrainingLab", "TrainingScene", "metrics"]

WORKER: Final = WorkerFacts(worker_id="worker_1", name="gpu-box-2", families=("act", "smolvla"))
BROKEN: Final = {"errors": 2, "warnings": 1, "episodes": 12, "frames": 3_480, "pictures": 6_960, "failed": [
    {"id": "stats-quantiles", "severity": "warning", "count": 2},
    {"id": "timestamps-rate", "severity": "error", "count": 14},
    {"id": "actions-jump", "severity": "error", "count": 3},
]}  # fmt: skip
WHOLE: Final = {"errors": 0, "warnings": 0, "episodes": 500, "frames": 61_250, "pictures": 61_250, "failed": []}
EXPORTED: Final = {
    "policy": "cubes_first", "modelHash": "sha256:" + "5e" * 32, "repository": "/srv/policies/cubes_first",
    "parity": {"verdict": "passed", "against": "LeRobot", "cases": 8.0, "cosine": 0.99999, "max_abs": 2.4e-05},
}  # fmt: skip
STEPS: Final = 3_000


def metrics(*steps: int) -> list[dict[str, Any]]:
    """As a trainer tells them: a loss that falls, a learning rate that warms up and cools down."""
    return [
        {"step": step, "loss": 0.04 + 6.5 * math.exp(-step / 260) * (1 + 0.12 * math.sin(step / 17)),
         "grad_norm": 3.0 + 40 * math.exp(-step / 200) * (1 + 0.3 * math.sin(step / 11)), "lr": _rate(step),
         "update_s": 0.412, "data_s": 0.004, "others": {}}
        for step in steps
    ]  # fmt: skip


def _rate(step: int) -> float:
    return 1e-4 * min(1.0, step / 300) * (0.5 + 0.5 * math.cos(math.pi * step / STEPS))


@dataclass(frozen=True)
class TrainingScene:
    """Ids: of datasets by their state, and of runs by theirs."""

    datasets: dict[str, str]
    runs: dict[str, str]


@dataclass
class TrainingLab:
    lab: Lab
    names: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def dataset(self, name: str, state: DatasetState = "valid", verdict: dict[str, Any] | None = None) -> str:
        """Its id."""
        content = "sha256:" + hashlib.sha256(f"{name} {next(self.names)}".encode()).hexdigest()
        new = NewDataset(name=name, place=f"/data/{next(self.names)}/lerobot", content_hash=content, files=19,
                         size_bytes=412_803_112)  # fmt: skip
        with self.lab.plane.writing(self.lab.actor) as writing:
            identity = str(register_dataset(writing, new)["id"])
            if state != "registered":
                told = Validation(content_hash=content, state=state, verdict=verdict or WHOLE)
                note_validation(writing, identity, told)
        return identity

    def start(self, dataset_id: str, name: str | None = None, **wanted: Any) -> str:
        """Its id; it waits."""
        request = TrainingRequest(dataset_id=dataset_id, base="act", name=name, **{"steps": STEPS, **wanted})
        with self.lab.plane.writing(self.lab.actor) as writing:
            return str(start_run(writing, request, None)["id"])

    def claim(self) -> dict[str, Any]:
        """The oldest that waits."""
        with self.lab.plane.writing(self.lab.actor) as writing:
            found = claim_run(writing, WORKER)
        assert found is not None
        return found

    def beat(self, claim: dict[str, Any], step: int, **more: Any) -> None:
        beat = Beat(lease_id=claim["leaseId"], state="running", step=step, **more)
        with self.lab.plane.writing(self.lab.actor) as writing:
            beat_run(writing, claim["runId"], beat)

    def end(self, claim: dict[str, Any], state: Any, reason: str, steps: int, **more: Any) -> None:
        end = End(lease_id=claim["leaseId"], state=state, reason=reason, steps=steps, **more)
        with self.lab.plane.writing(self.lab.actor) as writing:
            end_claimed(writing, claim["runId"], end)

    def tell_past_the_api(self, run_id: str, lines: list[str], losses: dict[int, float | None]) -> None:
        """What no worker could tell, for the API would not take it."""
        with self.lab.plane.writing(self.lab.actor) as writing:
            writing.connection.execute(
                insert(training_line),
                [{"run_id": run_id, "number": 10_000 + at, "text": text} for at, text in enumerate(lines)],
            )
            writing.connection.execute(
                insert(training_metric),
                [{"run_id": run_id, "at": 1, "step": step, "loss": loss} for step, loss in losses.items()],
            )

    def furnished(self) -> TrainingScene:
        """A dataset of each state, a run that trains, one that waits, and two that have ended."""
        datasets = {
            "registered": self.dataset("wrist-camera-only", "registered"),
            "validating": self.dataset("night-shift", "validating"),
            "invalid": self.dataset("bolts-left-arm", "invalid", BROKEN),
            "valid": self.dataset("cubes-500"),
        }
        runs = {"succeeded": self._succeeded(datasets["valid"]), "failed": self._failed(datasets["valid"])}
        runs["running"] = self.start(datasets["valid"], "cubes-act", then=("export", "register"))
        claim = self.claim()
        log = [_logged(each) for each in metrics(*range(1_300, 1_700, 50))]
        self.beat(claim, 1_700, log=log, metrics=metrics(*range(0, 1_701, 10)))
        runs["queued"] = self.start(datasets["valid"], "cubes-act-long", steps=20_000)
        return TrainingScene(datasets, runs)

    def _succeeded(self, dataset_id: str) -> str:
        run_id, claim = self.start(dataset_id, "cubes-first", steps=1_000), self.claim()
        self.beat(claim, 1_000, metrics=metrics(*range(0, 1_001, 10)), log=["INFO End of training"])
        self.end(claim, "succeeded", "trained, exported and verified", 1_000, exported=EXPORTED)
        return run_id

    def _failed(self, dataset_id: str) -> str:
        run_id, claim = self.start(dataset_id, "cubes-big-batch", batch_size=4_096), self.claim()
        self.end(claim, "failed", "the trainer ended with exit code 1: CUDA out of memory; take a smaller --batch-size",
                 0, log=["torch.OutOfMemoryError: CUDA out of memory."])  # fmt: skip
        return run_id


def _logged(metric: dict[str, Any]) -> str:
    told = f"step:{metric['step']} loss:{metric['loss']:.3f} grdn:{metric['grad_norm']:.3f} lr:{metric['lr']:.1e}"
    return f"INFO {told} updt_s:{metric['update_s']:.3f}"
