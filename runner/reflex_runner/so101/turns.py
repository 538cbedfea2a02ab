"""Whose turn it is on the line: one question at a time, and commands before the next one.

A command need not wait until a question is answered, only until its answers can no longer be on the wire: what takes
longer takes it in the adapter or in this computer, or the answer is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reflex_runner.clock import SYSTEM_CLOCK, Clock

__all__ = ["Turns"]

Quiet = Callable[[float], None]
"""Told, once the question is asked, in how many seconds its answers are over."""


class Turns:
    """The observing thread asks and waits; the applying one must not wait as long."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._is_asked = False
        self._is_commanded = False
        self._commands_waiting = 0
        self._quiet_s: float | None = None

    @contextmanager
    def question(self) -> Iterator[Quiet]:
        """The line is ours once nobody else asks or commands, and no command waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._is_asked or self._is_commanded or self._commands_waiting))
            self._is_asked, self._quiet_s = True, None
        try:
            yield self._be_quiet_in
        finally:
            with self._changed:
                self._is_asked = False
                self._changed.notify_all()

    @contextmanager
    def command(self) -> Iterator[None]:
        """The line is ours once the wire is quiet."""
        with self._changed:
            self._commands_waiting += 1
            try:
                self._wait_for_the_wire()
            finally:
                self._commands_waiting -= 1
            self._is_commanded = True
        try:
            yield
        finally:
            with self._changed:
                self._is_commanded = False
                self._changed.notify_all()

    def _be_quiet_in(self, seconds: float) -> None:
        with self._changed:
            self._quiet_s = self._clock.now() + seconds
            self._changed.notify_all()

    def _wait_for_the_wire(self) -> None:
        while self._is_commanded or self._is_asked:
            left_s = None if self._is_commanded or self._quiet_s is None else self._quiet_s - self._clock.now()
            if left_s is not None and left_s <= 0:
                return
            self._changed.wait(left_s)
