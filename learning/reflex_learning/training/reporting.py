"""What the queue is told of a run, and what it wants: through outages, until it says that the run is another's.

What it refuses to hear is another matter than an outage: to say it again changes nothing. A beat that is refused keeps
the lease with nothing but the step; an ending that is refused is said with less, and one that is refused for as long as
a lease lasts is given up, for the run is not ours any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from reflex.errors import InvalidRequestError, ReflexError, UnauthorizedError
from reflex.training.port import (
    MAX_LINES_A_BEAT,
    ClaimedRun,
    Ending,
    LeaseLostError,
    Orders,
    Progress,
    RunQueue,
    lease_lost,
)
from reflex.training.states import RunState
from reflex_learning.training.journal import Journal

__all__ = ["Pace", "Reporter"]

logger = logging.getLogger("reflex.training")

OF_WHAT_IS_SAID: Final = (400, 413, 415, 422)
"""Refusals of the words of a request, and not of its run, its address or its moment."""


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
    _refusal: InvalidRequestError | UnauthorizedError | None = None
    _refused_since_s: float = 0.0

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
            return self._is_refused_as_said and self._keep_lease(progress)
        self.journal.told(batch)
        return orders[0].is_cancelled

    def end(self, ending: Ending) -> None:
        """Returns once the queue knows of it, or of as much as it is ready to hear."""
        self._refusal = None  # of a beat long ago, maybe
        self._tell_rest(ending)
        batch = self.journal.next_batch()
        whole = replace(ending, log=batch.lines, first_line=batch.first_line)
        while not self._answers(partial(self.queue.end, self.run.run_id, self.run.lease_id, whole)):
            whole = self._after_refusal(whole)
            self.pace.sleep(self._wait_s())

    def _tell_rest(self, ending: Ending) -> None:
        """Until what is left fits the ending, which tells no metrics."""
        while (batch := self.journal.next_batch()).metrics or len(batch.lines) == MAX_LINES_A_BEAT:
            self._due = 0.0
            self.beat("running", ending.steps)
            if self._is_refused_as_said or self._is_refused_for_good:
                return
            if self._troubles:
                self.pace.sleep(self._wait_s())

    def _after_refusal(self, ending: Ending) -> Ending:
        """What may be heard in its place; the same one where the queue could not be asked."""
        if self._refusal is None:
            return ending
        if self._is_refused_for_good:
            logger.error("the queue refuses to hear how run %s ended: %s", self.run.run_id, self._refusal)
            raise lease_lost(self.run.run_id)
        return _bare(ending, self.run) if self._is_refused_as_said else ending

    @property
    def _is_refused_as_said(self) -> bool:
        """It is not the run, or who tells of it, that is refused."""
        return self._refusal is not None and self._refusal.status in OF_WHAT_IS_SAID

    @property
    def _is_refused_for_good(self) -> bool:
        """For as long as a lease lasts."""
        return self._refusal is not None and self.pace.now() - self._refused_since_s >= self.run.lease_seconds

    def _keep_lease(self, progress: Progress) -> bool:
        """Whether the run is cancelled; what was refused is said again later, whole."""
        try:
            bare = replace(progress, metrics=(), log=())
            return self.queue.beat(self.run.run_id, self.run.lease_id, bare).is_cancelled
        except LeaseLostError:
            raise
        except ReflexError:
            return False

    def _answers(self, ask: Callable[[], object]) -> bool:
        """Whether the queue did what it was asked. Whatever else it may say, the training goes on, and it is asked
        again: only the lease decides whose the run is.
        """
        try:
            ask()
        except LeaseLostError:
            raise
        except ReflexError as exc:
            self._note(exc)
            return False
        self._troubles, self._refusal = 0, None
        self._due = self.pace.now() + self.pace.beat_s
        return True

    def _note(self, error: ReflexError) -> None:
        self._troubles += 1
        self._due = self.pace.now() + self._wait_s()
        if self._troubles == 1:
            logger.warning("run %s goes on, but the queue does not take its progress: %s", self.run.run_id, error)
        if self._refusal is None:
            self._refused_since_s = self.pace.now()
        self._refusal = error if isinstance(error, InvalidRequestError | UnauthorizedError) else None

    def _wait_s(self) -> float:
        return min(self.pace.beat_s * 2.0 ** min(self._troubles, 6), self.pace.slowest_s)


def _bare(ending: Ending, run: ClaimedRun) -> Ending:
    """What any queue hears: how it ended, and where the rest of it lies."""
    exported = None if ending.exported is None else replace(ending.exported, parity={})
    reason = f"{ending.state}; the control plane refused to hear more, which lies in runs/{run.run_id} on its worker"
    return replace(ending, reason=reason, exported=exported, log=())
