"""Which observation of a stream is answered next, without any I/O: one runs, the newest waits.

What waited when a newer one comes, or until its deadline, is handed back, to be told why it gets no chunk: every
observation that was offered leaves by exactly one of the ways out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["NewestWins", "Pending"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pending(Generic[T]):
    """An observation that is to be answered until `deadline`, monotonic seconds."""

    seq: int
    deadline: float
    what: T


class NewestWins(Generic[T]):
    """The observations of one stream. Ways out: `offer` (superseded), `late`, `done`, `leave`."""

    def __init__(self) -> None:
        self.running: Pending[T] | None = None
        self.waiting: Pending[T] | None = None
        self.last_seq = -1
        """Of what was offered; the next one is greater."""

    @property
    def is_idle(self) -> bool:
        return self.running is None and self.waiting is None

    def offer(self, newest: Pending[T]) -> Pending[T] | None:
        """It waits from now on; what waited before comes back, superseded."""
        superseded, self.waiting = self.waiting, newest
        self.last_seq = newest.seq
        return superseded

    def begin(self) -> Pending[T] | None:
        """What runs from now on; None while something runs, or nothing waits."""
        if self.running is not None or self.waiting is None:
            return None
        self.running, self.waiting = self.waiting, None
        return self.running

    def done(self) -> None:
        """What ran was answered."""
        self.running = None

    def late(self, now: float) -> Pending[T] | None:
        """What waited until its deadline, or later; it waits no more."""
        if self.waiting is None or now < self.waiting.deadline:
            return None
        late, self.waiting = self.waiting, None
        return late

    def leave(self) -> int:
        """The stream has ended: how many are left unanswered."""
        left = (self.running is not None) + (self.waiting is not None)
        self.running = self.waiting = None
        return left
