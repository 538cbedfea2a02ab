"""The training as a worker does it, of runs that no control plane has: followed, resumed, with all their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reflex.processes.family import Family
from reflex.training.port import ClaimedRun, Ending, Metric, Orders, Progress, WorkerFacts
from reflex.training.request import TrainingRequest
from reflex_learning.default_policy.recipe import Recipe, architecture, finishing_request, only, request_of
from reflex_learning.errors import TrainingError
from reflex_learning.training.checkpoints import Checkpoint, last_checkpoint
from reflex_learning.training.running import Place, work_on
from reflex_learning.training.settings import TrainerSettings

__all__ = ["OneRun", "Training"]

TOLD_EVERY: Final = 50
"""Steps from one line for people to the next."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """`python` is the trainer's; `folder` keeps both runs, and each goes on where it was."""

    folder: Path
    dataset: Path
    episodes: Sequence[int]
    python: Path
    say: Callable[[str], None]

    def train(self, recipe: Recipe) -> dict[str, Any]:
        """The model's folder, and its last loss: begun, then finished in small steps. `TrainingError` says why not."""
        begun, loss = self._run("begun", request_of(recipe), architecture(self.episodes))
        if recipe.finishing_steps == 0:
            return {"model": str(begun.model), "steps": begun.step, "loss": loss}
        finished, loss = self._run("finished", finishing_request(recipe, begun.model), only(self.episodes))
        return {"model": str(finished.model), "steps": begun.step + finished.step, "loss": loss}

    def _run(self, name: str, request: TrainingRequest, more: tuple[str, ...]) -> tuple[Checkpoint, float | None]:
        """One thread: on cores that others use it is faster than two."""
        settings = TrainerSettings(python=self.python, threads=1, more=more)
        place = Place(folder=self.folder, settings=settings, repository=self.folder / "models")
        queue, family = OneRun(request.steps, self.say), Family()
        family.watch()
        try:
            ending = work_on(_claimed(name, request, self.dataset), queue, place, family)
        finally:
            family.end()
        newest = last_checkpoint(self.folder / "runs" / name / "training")
        if ending is None or ending.state != "succeeded" or newest is None:
            log = self.folder / "runs" / name / "log.txt"
            raise TrainingError(f"{'the run was lost' if ending is None else ending.reason}; its log is {log}")
        return newest, queue.loss


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


def _claimed(name: str, request: TrainingRequest, dataset: Path) -> ClaimedRun:
    return ClaimedRun(
        run_id=name, lease_id=name, lease_seconds=0.0, request=request, dataset_path=str(dataset), dataset_hash="",
        attempt=1,
    )  # fmt: skip
