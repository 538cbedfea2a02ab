"""`Telling`: everybody who wants to know what happens in a run, and none of whom may disturb it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Literal

from reflex.connector import Observation
from reflex_runner.clock import Clock
from reflex_runner.tick import DatedChunk, Event, Listener, Tick

__all__ = ["Telling"]

logger: Final = logging.getLogger("reflex.runner")
MOST_UNLOGGED: Final = 1000
LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Telling:
    """A `Listener` for all of them. One that raises is not told any more, and the run goes on."""

    def __init__(self, listeners: Iterable[Listener], clock: Clock) -> None:
        self._listeners = list(listeners)
        self._clock = clock
        self._unlogged: deque[Event] = deque(maxlen=MOST_UNLOGGED)

    def observed(self, seq: int, observation: Observation) -> None:
        """An observation was sent to the policy."""
        self._tell(lambda listener: listener.observed(seq, observation))

    def answered(self, chunk: DatedChunk) -> None:
        """The policy answered."""
        self._tell(lambda listener: listener.answered(chunk))

    def ticked(self, tick: Tick) -> None:
        """A period of the control loop is over."""
        self._tell(lambda listener: listener.ticked(tick))

    def noted(self, event: Event) -> None:
        """Something happened that is worth a line."""
        self._tell(lambda listener: listener.noted(event))

    def note(self, level: Literal["info", "warning", "error"], code: str, message: str) -> None:
        """An event of now; the log has it with the next `log`."""
        event = Event(self._clock.now(), level, code, message)
        self._unlogged.append(event)
        self.noted(event)

    def log(self) -> None:
        """Write the events of late to the log, from a thread that may wait for a disk or a terminal."""
        while self._unlogged:
            event = self._unlogged.popleft()
            logger.log(LEVELS[event.level], "%s: %s", event.code, event.message)

    def _tell(self, tell: Callable[[Listener], None]) -> None:
        for listener in tuple(self._listeners):
            try:
                tell(listener)
            except Exception:  # whoever only listens must not stop a robot in the middle of its way
                logger.exception("%s is told nothing more of this run", type(listener).__name__)
                self._listeners.remove(listener)
