"""The training as a worker does it, of a run that no control plane has: followed, resumed, with all its numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reflex.datasets.content_hash import content_hash
from reflex.processes.family import Family
from reflex.training.port import ClaimedRun, Ending, Metric, Orders, Progress, WorkerFacts
from reflex.training.request import TrainingRequest
from reflex_learning.default_policy.averaging import average
from reflex_learning.default_policy.recipe import Recipe, architecture, request_of
from reflex_learning.errors import TrainingError
from reflex_learning.training.checkpoints import last_models
from reflex_learning.training.running import Place, work_on
from reflex_learning.training.settings import TrainerSettings

__all__ = ["OneRun", "Training"]

RUN: Final = "default"
TOLD_EVERY: Final = 50
"""Steps from one line for people to the next."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """`python` is the trainer's; `folder` keeps the run, which goes on where it was."""

    folder: Path
    dataset: Path
    episodes: Sequence[int]
    python: Path
    say: Callable[[str], None]

    def train(self, recipe: Recipe) -> dict[str, Any]:
        """The folder of the mean of the last checkpoints, and the last loss. `TrainingError` says why there is none.

        One thread: on cores that others use it is faster than two.
        """
        settings = TrainerSettings(
            python=self.python, threads=1, keeps=recipe.averaged, more=architecture(self.episodes)
        )  # fmt: skip
        place = Place(folder=self.folder, settings=settings, repository=self.folder / "models", settles=False)
        queue, family = OneRun(recipe.steps, self.say), Family()
        family.watch()
        try:
            ending = work_on(_claimed(request_of(recipe), self.dataset), queue, place, family)
        finally:
            family.end()
        if ending is None or ending.state != "succeeded":
            log = self.folder / "runs" / RUN / "log.txt"
            raise TrainingError(f"{'the run was lost' if ending is None else ending.reason}; its log is {log}")
        models = last_models(self.folder / "runs" / RUN / "training", recipe.averaged)
        average(models, self.folder / "averaged")
        return {"model": str(self.folder / "averaged"), "steps": ending.steps, "loss": queue.loss}


@dataclass
class OneRun:
    """A queue of the run that is trained here and now."""

    steps: int
    say: Callable[[str], None]
    loss: float | None = None
    _told: int = field(default=0)

    def claim(self, worker: WorkerFacts) -> ClaimedRun | None:  # noqa: ARG002
        """It is claimed already."""
        return None

    def beat(self, run_id: str, lease_id: str, progress: Progress) -> Orders:  # noqa: ARG002
        """Tell people how far it is."""
        for metric in progress.metrics:
            self._hear(metric)
        return Orders()

    def end(self, run_id: str, lease_id: str, ending: Ending) -> None:
        """Its own words come out of `work_on`."""

    def _hear(self, metric: Metric) -> None:
        self.loss = metric.loss
        if metric.step >= self._told + TOLD_EVERY:
            self._told = metric.step
            pace = "" if metric.update_s is None else f", {metric.update_s + (metric.data_s or 0.0):.2f} s a step"
            self.say(f"  step {metric.step} of {self.steps}: loss {metric.loss}{pace}")


def _claimed(request: TrainingRequest, dataset: Path) -> ClaimedRun:
    return ClaimedRun(
        run_id=RUN, lease_id=RUN, lease_seconds=0.0, request=request, dataset_path=str(dataset),
        dataset_hash=content_hash(dataset).value, attempt=1,
    )  # fmt: skip
