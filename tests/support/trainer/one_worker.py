"""A worker with the stub trainer as a process of its own; what its queue was told lies in a file of JSON lines."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Final

from reflex.training.port import Ending, Metric, Orders, Progress, WorkerFacts
from reflex.training.request import TrainingRequest
from support.trainer.stub import MemoryQueue, claimed, stub_python

__all__ = ["LINE", "main", "queue_from"]

LINE: Final = "from support.trainer.one_worker import main; main()"
"""Runs it: FOLDER LEASE ATTEMPT."""


class WrittenQueue(MemoryQueue):
    """Every answer is written before it is given, as a control plane does."""

    def __init__(self, file: Path, *runs: Any) -> None:
        super().__init__(list(runs))
        self._file = file

    def beat(self, run_id: str, lease_id: str, progress: Progress) -> Orders:
        self._write({"beat": dataclasses.asdict(progress)})
        return super().beat(run_id, lease_id, progress)

    def end(self, run_id: str, lease_id: str, ending: Ending) -> None:
        self._write({"end": dataclasses.asdict(ending)})
        super().end(run_id, lease_id, ending)

    def _write(self, what: dict[str, Any]) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps(what) + "\n")


def queue_from(folder: Path) -> MemoryQueue:
    """What all workers of the folder told, held to the contract once more; a torn line was never answered."""
    queue = MemoryQueue([])
    file = folder / "queue.jsonl"
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if "beat" in said:
            metrics = tuple(Metric(**each) for each in said["beat"].pop("metrics"))
            queue.beat("run_1", "", Progress(**{**said["beat"], "metrics": metrics}))
        else:
            queue.end("run_1", "", Ending(**said["end"]))
    return queue


def main() -> None:
    from reflex_learning.training.reporting import Pace
    from reflex_learning.training.running import Place
    from reflex_learning.training.settings import TrainerSettings
    from reflex_learning.training.worker import run_worker

    folder, lease, attempt = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    request = TrainingRequest(dataset_id="d", base="act", steps=100, save_every=50, seed=3)
    told = queue_from(folder).next_line
    run = claimed(request, folder / "dataset", attempt=attempt, next_line=told)
    run = dataclasses.replace(run, lease_id=lease)
    settings = TrainerSettings(python=stub_python(folder / "environment"))
    place = Place(folder=folder, settings=settings, repository=folder / "models", pace=Pace(beat_s=0.05))
    run_worker(WrittenQueue(folder / "queue.jsonl", run), WorkerFacts(worker_id="w", name="w"), place, once=True)
