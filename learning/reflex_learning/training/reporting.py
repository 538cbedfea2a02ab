"""What the queue is told of a run, and what it wants: through outages, until it says that the run is another's."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from reflex.errors import ReflexError
from reflex.training.port import MAX_LINES_A_BEAT, ClaimedRun, Ending, LeaseLostError, Orders, Progress, RunQueue
from reflex.training.states import RunState
from reflex_learning.training.journal import Journal

__all__ = ["Pace", "Reporter"]

logger = logging.getLogger("reflex.training")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the queue is asked; tests hurry."""

    beat_s: float = 1.0
    slowest_s: float = 5.0
    """Between two attempts while it cannot be reached."""
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic


@dataclass
class Reporter:
    """Of one run; `beat` and `end` raise `LeaseLostError`, and nothing else of the queue's."""

    queue: RunQueue
    run: ClaimedRun
    journal: Journal
    pace: Pace = field(default_factory=Pace)
    _due: float = 0.0
    _troubles: int = 0

    def beat(self, state: RunState, step: int) -> bool:
        """Whether the run is cancelled, as far as the queue could be asked; asks only when it is time."""
        if self.pace.now() < self._due:
            return False
        batch = self.journal.next_batch()
        progress = Progress(
            state=state, step=step, metrics=batch.metrics, log=batch.lines, first_line=batch.first_line
        )  # fmt: skip
        orders: list[Orders] = []
        if not self._answers(
            lambda: orders.append(self.queue.beat(self.run.run_id, self.run.lease_id, progress))
        ):  # fmt: skip
            return False
        self.journal.told(batch)
        return orders[0].is_cancelled

    def end(self, ending: Ending) -> None:
        """Returns once the queue knows of it."""
        self._tell_rest(ending)
        batch = self.journal.next_batch()
        whole = replace(ending, log=batch.lines, first_line=batch.first_line)
        while not self._answers(lambda: self.queue.end(self.run.run_id, self.run.lease_id, whole)):
            self.pace.sleep(self._wait_s())

    def _tell_rest(self, ending: Ending) -> None:
        """Until what is left fits the ending, which tells no metrics."""
        while (batch := self.journal.next_batch()).metrics or len(batch.lines) == MAX_LINES_A_BEAT:
            self._due = 0.0
            self.beat("running", ending.steps)
            if self._troubles:
                self.pace.sleep(self._wait_s())

    def _answers(self, ask: Callable[[], object]) -> bool:
        """Whether the queue did what it was asked. Whatever else it may say, the training goes on, and it is asked
        again: only the lease decides whose the run is.
        """
        try:
            ask()
        except LeaseLostError:
            raise
        except ReflexError as exc:
            self._troubles += 1
            self._due = self.pace.now() + self._wait_s()
            if self._troubles == 1:
                logger.warning("run %s goes on, but the queue does not take its progress: %s", self.run.run_id, exc)
            return False
        self._troubles = 0
        self._due = self.pace.now() + self.pace.beat_s
        return True

    def _wait_s(self) -> float:
        return min(self.pace.beat_s * 2.0 ** min(self._troubles, 6), self.pace.slowest_s)
