"""`EpisodeMarks`: says, while a robot runs, where an episode begins, how it ended, and what was to be done in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["EpisodeMarks", "Marked"]


class Marked(Protocol):
    """Whoever records the run."""

    def begin_episode(self, instruction: str | None = None) -> None: ...
    def end_episode(self, *, success: bool | None = None) -> None: ...


class EpisodeMarks:
    """Give it to `reflex.run_from_config` or `reflex.connect`, and call it from any thread: it returns at once.

    Of a run that has marks only what lies between `begin` and `end` is recorded. An episode that is open when the run
    begins begins with it; one that is open when the run ends is over, with a success that nobody has said.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marked: Marked | None = None
        self._is_open = False
        self._instruction: str | None = None
        self.successes = self.failures = self.others = 0
        """Episodes that have ended, by what was said of them."""

    @property
    def is_open(self) -> bool:
        """Whether an episode has begun, and not ended."""
        return self._is_open

    @property
    def instruction(self) -> str | None:
        """What is to be done in the open episode, where it was said; the policy is told it."""
        return self._instruction if self._is_open else None

    def begin(self, instruction: str | None = None) -> None:
        """An episode begins; one that is open ends, and nobody has said how. None: the run's own instruction."""
        with self._lock:
            self._count(None)
            self._is_open, self._instruction = True, instruction
            if self._marked is not None:
                self._marked.begin_episode(instruction)

    def end(self, success: bool | None = None) -> bool:  # noqa: FBT001  # marks.end(True) says it all
        """The open episode is over; False when none is open."""
        with self._lock:
            if not self._is_open:
                return False
            self._count(success)
            self._is_open = False
            if self._marked is not None:
                self._marked.end_episode(success=success)
            return True

    @contextmanager
    def told_to(self, marked: Marked) -> Iterator[None]:
        """Inside, that one hears of them."""
        with self._lock:
            self._marked = marked
            if self._is_open:
                marked.begin_episode(self._instruction)
        try:
            yield
        finally:
            self.end()
            self._marked = None

    def _count(self, success: bool | None) -> None:  # noqa: FBT001
        if self._is_open:
            self.successes += success is True
            self.failures += success is False
            self.others += success is None
