"""The thread that hands what waits to whoever writes. It alone waits for the other side, and holds nobody up."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from reflex_runner.recording.entries import packed
from reflex_runner.recording.messages import send
from reflex_runner.recording.waiting_line import Entry, Marker, WaitingLine
from reflex_runner.recording.writing import FAREWELL, REFUSED

__all__ = ["Sender"]

GATHER_S: Final = 0.05
"""How often the thread looks: nobody wakes it, so nobody who drives a robot pays for that."""

log = logging.getLogger("reflex.recording")


class Sender:
    """From the waiting line into the socket, until it is told to end or the other side is gone."""

    def __init__(
        self, waiting: WaitingLine, line: socket.socket, now: Callable[[], float], marked: Marker | None = None
    ) -> None:
        self.marked = marked
        """The newest marker that was sent."""
        self._waiting, self._line, self._now = waiting, line, now
        self._told = dict(waiting.dropped)
        self._ending = threading.Event()
        self._is_over = False
        self._has_failed = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Send what waits, and then farewell."""
        self._ending.set()

    def give_up(self) -> None:
        """The other side is gone: what waits is for whoever comes after it."""
        self._is_over = True
        self._ending.set()
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout_s: float) -> bool:
        """Whether all is sent by then, or cannot be any more."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with self._line, suppress(OSError):  # the other side is gone, and whoever hears its news says so
            while not self._ending.wait(GATHER_S):
                self._send_what_waits()
            self._send_what_waits()
            send(self._line, {"kind": FAREWELL, "at_s": self._now()})

    def _send_what_waits(self) -> None:
        while not self._is_over and (entry := self._waiting.take()) is not None:
            try:
                self._send(entry)
            except OSError:
                self._waiting.put_back(entry)
                raise
            self._waiting.sent(entry)
        self._tell_refused()

    def _send(self, entry: Entry) -> None:
        self._tell_refused()
        try:
            words, contents = packed(entry)
        except Exception:  # noqa: BLE001  # one that is nothing like what it should be costs itself alone
            self._refuse()
        else:
            send(self._line, words, contents)
            self.marked = entry.what if isinstance(entry.what, Marker) else self.marked

    def _tell_refused(self) -> None:
        """What the run could not even put into the line, as often as that changes."""
        dropped = dict(self._waiting.dropped)
        if dropped != self._told:
            more = {name: count - self._told.get(name, 0) for name, count in dropped.items()}
            self._told = dropped
            send(self._line, {"kind": REFUSED, "counts": more})

    def _refuse(self) -> None:
        self._waiting.dropped["unusable entries"] += 1
        level = logging.DEBUG if self._has_failed else logging.ERROR
        log.log(level, "something that happened cannot be recorded", exc_info=True)
        self._has_failed = True
