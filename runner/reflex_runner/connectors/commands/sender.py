"""Commands go to the robot from a thread of their own: the control loop waits for no program."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from reflex.connector import ActionChunk

__all__ = ["Sender"]

logger = logging.getLogger("reflex.commands")

END_S: Final = 10.0
"""Against hanging: what is being sent has a deadline of its own."""


class Sender:
    """Sends the newest: what was handed over while another was being sent, and is not the last, is left out."""

    def __init__(self, send: Callable[[ActionChunk, Callable[[], bool]], None]) -> None:
        """`send` is given a command, and what says to the last moment whether it is still wanted."""
        self.left_out = 0
        self._drops = 0
        self._send = send
        self._changed = threading.Condition()
        self._waiting: ActionChunk | None = None
        self._failure: Exception | None = None
        self._is_ending = False
        self._thread: threading.Thread | None = None

    def put(self, chunk: ActionChunk) -> None:
        """Returns at once. Raises what went wrong with an earlier one, once."""
        self.raise_failure()
        with self._changed:
            self._start_thread()
            if self._waiting is not None:
                self._leave_out()
            self._waiting = chunk
            self._changed.notify()

    def raise_failure(self) -> None:
        """What went wrong since this was asked the last time."""
        with self._changed:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def drop(self) -> None:
        """What waits is never sent, nor what was taken already and has not left yet."""
        with self._changed:
            self._waiting = None
            self._drops += 1

    def end(self) -> None:
        """Nothing is sent any more. May be called twice."""
        with self._changed:
            self._waiting, self._is_ending = None, True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(END_S)
        if self.left_out:
            logger.warning("%d commands were left out, because the one before was still being applied", self.left_out)
            self.left_out = 0

    def _start_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._is_ending = False
            self._thread = threading.Thread(target=self._run, name="apply", daemon=True)
            self._thread.start()

    def _leave_out(self) -> None:
        if self.left_out == 0:
            logger.warning("the apply command is slower than the control loop: only the newest command is sent")
        self.left_out += 1

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            chunk, drops = taken
            try:
                self._send(chunk, partial(self._is_wanted, drops))
            except Exception as exc:  # noqa: BLE001  # this thread's end: whoever drives the robot is told of it
                with self._changed:
                    self._failure = exc
                    self._waiting = None

    def _is_wanted(self, drops: int) -> bool:
        return self._drops == drops

    def _next(self) -> tuple[ActionChunk, int] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_ending or self._waiting is not None)
            chunk, self._waiting = self._waiting, None
            return None if self._is_ending or chunk is None else (chunk, self._drops)
