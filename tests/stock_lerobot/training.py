"""Runs of LeRobot's own trainer under our worker."""

from __future__ import annotations

import os
from pathlib import Path

from reflex.processes.family import Family
from reflex.training.port import Ending, lease_lost
from reflex.training.request import TrainingRequest
from reflex_learning.training.running import Place, work_on
from reflex_learning.training.settings import TrainerSettings
from support.datasets.drafts import healthy
from support.datasets.writing import make
from support.skips import skip_for_want_of
from support.trainer.stub import MemoryQueue, claimed

__all__ = ["stock_python", "trained"]


def stock_python() -> Path:
    """LeRobot's; skips without it."""
    python = os.environ.get("STOCK_LEROBOT_PYTHON")
    if python is None:
        skip_for_want_of("LeRobot")
    return Path(python)


class LostAtTheEnd(MemoryQueue):
    """The end is heard, but not answered in time: nothing is removed, and the run may go on."""

    def end(self, run_id: str, lease_id: str, ending: Ending) -> None:
        super().end(run_id, lease_id, ending)
        raise lease_lost(run_id)


def trained(folder: Path, python: Path, request: TrainingRequest, attempt: int = 1) -> MemoryQueue:
    """What the queue heard of a run on a small dataset; nothing of it is removed."""
    queue, family = LostAtTheEnd([]), Family()
    dataset = folder / "dataset"
    if not dataset.exists():
        make(healthy("image"), dataset)
    settings = TrainerSettings(python=python, threads=1)
    family.watch()
    try:
        place = Place(folder=folder, settings=settings, repository=folder / "models")
        work_on(claimed(request, dataset, attempt=attempt), queue, place, family)
    finally:
        family.end()
    return queue
