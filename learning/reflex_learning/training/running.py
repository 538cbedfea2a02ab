"""One claimed run, from its first step, or from where another worker left it, to its end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reflex.errors import ReflexError, TransportError, UnavailableError
from reflex.processes.family import Family
from reflex.training.port import ClaimedRun, Ending, EndState, Exported, LeaseLostError, RunQueue
from reflex.training.request import IDENTITY, problems
from reflex.training.states import RunState
from reflex_learning.errors import TrainingError
from reflex_learning.training.checkpoints import last_checkpoint, prune
from reflex_learning.training.child import Child
from reflex_learning.training.exporting import Exporter
from reflex_learning.training.journal import Journal
from reflex_learning.training.keeping import KEPT_BYTES, begin, settle
from reflex_learning.training.reasons import judge, kills_for_memory
from reflex_learning.training.registered import RegisteredDataset
from reflex_learning.training.reporting import Pace, Reporter
from reflex_learning.training.settings import TrainerSettings
from reflex_learning.training.trainer import Trainer

__all__ = ["Place", "work_on"]

logger = logging.getLogger("reflex.training")

LOOKS_EVERY_S: Final = 0.1
TAIL: Final = 100
MOST_ENDS: Final = 3
"""How often one after the other a trainer may be ended from outside without a new checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a worker trains, and what it is given."""

    folder: Path
    settings: TrainerSettings
    repository: Path
    embodiment: str | None = None
    register: Callable[[Path], object] | None = None
    """Tell the control plane of a policy's folder; None: it cannot."""
    has_ended: Callable[[str], bool] = lambda _run_id: False
    """Whether the control plane says so of a run that this worker has lost."""
    kept_bytes: int = KEPT_BYTES
    """Of runs that have ended."""
    settles: bool = True
    """Whether of a run that has ended only the last model stays; who wants the checkpoints before it says no."""
    pace: Pace = field(default_factory=Pace)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"


def work_on(run: ClaimedRun, queue: RunQueue, place: Place, family: Family) -> Ending | None:
    """The ending that the queue was told; None where the run was taken away. Nothing of it goes on afterwards."""
    if not IDENTITY.fullmatch(run.run_id):
        raise TrainingError(f"{run.run_id!r:.60} is no id of a run; the queue is none of this version of Reflex")
    folder = place.runs / run.run_id
    begin(folder)
    journal = Journal(folder, run.attempt, run.next_line)
    reporter = Reporter(queue, run, journal, place.pace)
    trainer = Trainer(run, folder, place.settings, journal, family)
    try:
        ending = _Run(reporter, trainer, place, RegisteredDataset(run)).work()
        reporter.end(ending)
    except LeaseLostError:
        logger.warning("run %s is another worker's by now, or has ended", run.run_id)
        return None
    if place.settles:
        settle(folder, keeps_model=ending.state != "cancelled")
    return ending


@dataclass
class _Run:
    reporter: Reporter
    trainer: Trainer
    place: Place
    dataset: RegisteredDataset
    state: RunState = "provisioning"

    @property
    def request_steps(self) -> int:
        return self.trainer.run.request.steps

    def work(self) -> Ending:
        """Train, and do what follows; a reason for whatever keeps it from that."""
        try:
            _refuse(self.trainer.run, self.place)
            self._train()
            self._look_at_the_dataset()
            return self._end("succeeded", f"trained {self.request_steps} steps", self._follow())
        except CancelledError:
            return self._end("cancelled", "cancelled, as it was asked for")
        except TrainingError as exc:
            return self._end("failed", str(exc))
        except OSError as exc:
            return self._end("failed", f"the worker could not go on: {exc}")

    def _end(self, state: EndState, reason: str, exported: Exported | None = None) -> Ending:
        self.trainer.journal.say(f"reflex: {state}: {reason}")
        steps = self.request_steps if state == "succeeded" else self.trainer.step
        return Ending(state=state, reason=reason, steps=steps, exported=exported)

    def _train(self) -> None:
        """Until the last step is kept: what ends the trainer from outside costs the steps since the last checkpoint."""
        ends, kept = 0, self.trainer.kept_step
        while kept < self.request_steps:
            self._look_at_the_dataset()
            killed_before, first_line = kills_for_memory(), self.trainer.journal.next_number
            code = self._watch(self.trainer.start())
            if self.trainer.numbers.is_lost:
                raise TrainingError("the loss was not a finite number twice in a row; try a lower learning rate")
            ends = 0 if self.trainer.kept_step > kept else ends + 1
            kept = self.trainer.kept_step
            if kept >= self.request_steps:
                return
            verdict = judge(
                code, self.trainer.journal.since(first_line, TAIL), ran_out_of_memory=kills_for_memory() > killed_before
            )  # fmt: skip
            if not verdict.is_passing or ends >= MOST_ENDS:
                raise TrainingError(verdict.reason)
            self.trainer.journal.say(f"reflex: {verdict.reason}; it begins again at step {kept}")

    def _look_at_the_dataset(self) -> None:
        """Before the trainer is started, however often, and once it has read all that it wanted."""
        if self.dataset.require(self._beat):
            self.trainer.journal.say("reflex: the dataset is what was registered")

    def _watch(self, child: Child) -> int:
        try:
            while (code := child.wait(LOOKS_EVERY_S)) is None and not self.trainer.numbers.is_lost:
                self._beat()
        finally:
            child.end()
        return -1 if code is None else code

    def _beat(self) -> None:
        if self.state == "provisioning" and self.trainer.step > 0:
            self.state = "running"
        if self.reporter.beat(self.state, self.trainer.step):
            raise CancelledError
        prune(self.trainer.output, self.trainer.settings.keeps)

    def _follow(self) -> Exported | None:
        """Export and registration, where the request has them."""
        run, newest = self.trainer.run, last_checkpoint(self.trainer.output)
        if "export" not in run.request.then or newest is None:
            return None
        self.state = "running"
        exporter = Exporter(
            run, self.place.repository, self.place.embodiment, self.trainer.journal, self.trainer.family, self._watch
        )
        exported = exporter.export(newest.model)
        if "register" in run.request.then:
            self._register(self.place.repository / exported.policy)
        return exported

    def _register(self, policy: Path) -> None:
        while True:
            try:
                if self.place.register is not None:
                    self.place.register(policy)
            except (TransportError, UnavailableError):
                self._beat()
                self.place.pace.sleep(self.place.pace.beat_s)
            except ReflexError as exc:
                raise TrainingError(f"the policy was exported to {policy}, but not registered: {exc}") from exc
            else:
                return


def _refuse(run: ClaimedRun, place: Place) -> None:
    """A queue of another version may give what this worker cannot do."""
    if found := problems(run.request):
        raise TrainingError(f"the request cannot be trained: {'; '.join(found)}")
    if "register" in run.request.then and place.register is None:
        raise TrainingError("this worker cannot register policies; ask for export alone")
