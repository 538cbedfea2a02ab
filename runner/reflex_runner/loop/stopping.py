"""`StopRequests`: whoever wants the run to stop says so here, from any thread; Ctrl-C and SIGTERM do, too."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from reflex_runner.motion.descent import StopCause

__all__ = ["StopRequests", "heard"]

INTERRUPTED: Final = StopCause("interrupted", "Ctrl-C", "operator")
TERMINATED: Final = StopCause("terminated", "the process was told to end (SIGTERM)", "operator")


class StopRequests:
    """The first cause stays, but for an end, which gives way to an operator: nothing is begun anew against their word.

    Setting it is all that a signal handler does: the control loop looks every period.
    """

    def __init__(self) -> None:
        self.cause: StopCause | None = None
        self.is_cut_short = False
        """Whether somebody pressed Ctrl-C again: hold, and leave the rest of the ladder."""
        self.is_asking = False
        """Whether the robot is stopped, and a person is asked: then Ctrl-C and SIGTERM are the answer."""

    def request(self, cause: StopCause) -> None:
        """Stop in the next period."""
        if self.cause is None or (self.cause.kind == "end" and cause.kind == "operator"):
            self.cause = cause

    def interrupt(self) -> None:
        """Ctrl-C: once the ladder, twice hold and exit."""
        self.is_cut_short = self.is_cut_short or self.cause is not None
        self.request(INTERRUPTED)

    def forget(self, stopped_for: StopCause | None) -> None:
        """An operator lets the run go on after that stop; what else was requested meanwhile stays, and is obeyed."""
        if self.cause is stopped_for:
            self.cause = None
        self.is_cut_short = False

    def conclude(self, stopped_for: StopCause | None) -> None:
        """The run is over, and this is why: what came later begins nothing anew. Only an operator's word stays."""
        if stopped_for is not None and (self.cause is None or self.cause.kind != "operator"):
            self.cause = stopped_for


@contextmanager
def heard(stops: StopRequests) -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM are requests. Handlers belong to the main thread: in another one nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    before = (
        signal.signal(signal.SIGINT, lambda *_: _hear(stops, stops.interrupt)),
        signal.signal(signal.SIGTERM, lambda *_: _hear(stops, lambda: stops.request(TERMINATED))),
    )
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def _hear(stops: StopRequests, request: Callable[[], None]) -> None:
    if stops.is_asking:
        raise KeyboardInterrupt  # a prompt that waits for its line is not ended by anything else
    request()
