"""What a command says on stderr: line by line into the verbose log, and the last of it into the message of its end."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from typing import Final

from reflex.printable import printable

__all__ = ["Words"]

logger = logging.getLogger("reflex.commands")

PIECE_BYTES: Final = 65_536
LINE_BYTES: Final = 2_000
"""What is longer is cut: a log is read by people."""
LINES_A_SECOND: Final = 200
"""More are counted instead of logged: a command that floods its stderr takes no time from the loop."""
END_S: Final = 2.0


class Words:
    """Reads the pipe in a thread of its own until `end`, or until nobody can write to it any more."""

    def __init__(self, pipe: int, command: str) -> None:
        os.set_blocking(pipe, False)
        self.last = ""
        self._pipe = pipe
        self._command = command
        self._rest = b""
        self._budget = _Budget()
        self._wake, self._woken = os.pipe()[::-1]
        self._poll = select.poll()
        for number in (pipe, self._woken):
            self._poll.register(number, select.POLLIN)
        self._thread = threading.Thread(target=self._listen, name=f"stderr of {command}", daemon=True)
        self._thread.start()

    def end(self) -> str:
        """Read what is there, and close; the last line that was said."""
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1
        self._thread.join(END_S)
        return self.last

    def _listen(self) -> None:
        try:
            while self._read_on():
                pass
            self._take(b"\n")
        finally:
            os.close(self._pipe)
            os.close(self._woken)

    def _read_on(self) -> bool:
        is_last = self._woken in [number for number, _ in self._poll.poll()]
        try:
            piece = os.read(self._pipe, PIECE_BYTES)
        except BlockingIOError:
            return not is_last
        self._take(piece)
        return bool(piece) and not (is_last and len(piece) < PIECE_BYTES)

    def _take(self, piece: bytes) -> None:
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[:LINE_BYTES]
        for line in lines:
            self._say(line[:LINE_BYTES].decode(errors="backslashreplace").rstrip())

    def _say(self, line: str) -> None:
        if not line.strip():
            return
        self.last = printable(line)
        missed = self._budget.missed_before_one_more()
        if missed is None:
            return
        if missed:
            logger.debug("%s: and %d lines more", self._command, missed)
        logger.debug("%s: %s", self._command, self.last)


class _Budget:
    """So many lines a second, and the count of those beyond."""

    def __init__(self) -> None:
        self._began = 0.0
        self._said = self._missed = 0

    def missed_before_one_more(self) -> int | None:
        """How many were left out before this one, which may be said; None when it may not."""
        now = time.monotonic()
        if now - self._began >= 1.0:
            self._began, self._said = now, 0
        if self._said >= LINES_A_SECOND:
            self._missed += 1
            return None
        self._said += 1
        missed, self._missed = self._missed, 0
        return missed
