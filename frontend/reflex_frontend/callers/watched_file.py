"""A file of keys that is read again whenever it changes, while robots are answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.api_keys import read_key_file
from reflex.errors import SetupError

__all__ = ["OVERDUE_S", "POLL_EVERY_S", "FileWords", "WatchedFile"]

POLL_EVERY_S: Final = 0.5
"""A key that is removed from the file works for at most that long, and the time to read it; promised is a second."""
OVERDUE_S: Final = 5.0
"""The file was not looked at for so long: its disk hangs."""
CLOSE_S: Final = 0.5
"""So long the end waits for a look that has begun; one at a disk that hangs is left to itself."""

log = logging.getLogger("reflex.keys")


@dataclass(frozen=True)
class FileWords:
    """What a file is called: what it holds, the file itself, the option that names it, and what makes one."""

    content: str
    file: str
    option: str
    made_by: str


class WatchedFile:
    """One file; `now` is a monotonic clock in seconds. `take` gets its bytes, keeps what they say, and counts it.

    A thread of its own looks at the file twice a second and reads it whole: a time stamp may be the same after a
    change, the content is not. So neither a long file nor a disk that hangs stops the loop. While the file cannot be
    read, or `take` refuses it with `SetupError`, what was last read holds on, and the log says so.
    """

    def __init__(self, path: Path, words: FileWords, take: Callable[[bytes], int], now: Callable[[], float]) -> None:
        self._path = path
        self._words = words
        self._take = take
        self._now = now
        self._looked_at = now()
        self._content = b""
        self._problem: str | None = None
        self._is_overdue = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=words.content.lower().replace(" ", "-"), daemon=True)

    def read(self) -> int:
        """Read it for the first time, and how much is in it; `SetupError` when that cannot be."""
        option = f"{self._words.option} {self._path}"
        try:
            self._content = read_key_file(self._path)
            return self._take(self._content)
        except OSError as exc:
            raise SetupError(
                f"{option}: {self._words.file} cannot be read ({exc.strerror}); {self._words.made_by} makes one"
            ) from exc
        except SetupError as exc:
            raise SetupError(f"{option}: {exc}") from exc

    @property
    def stale(self) -> str | None:
        """Why the file was not read again, so that a key that was taken back still works; None while all is well."""
        self.note_whether_overdue()
        if self._is_overdue:
            return f"{self._words.file}'s disk does not answer; the last keys hold on"
        return None if self._problem is None else f"{self._words.file} is missing or damaged; the last keys hold on"

    def watch(self) -> None:
        """Look at the file from now on, until `close`."""
        self._looked_at = self._now()
        self._thread.start()

    def close(self) -> None:
        """Look at the file no more; what was last read stays."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def look(self) -> None:
        """Read the file, and take it when it has changed. The thread does; takes as long as the disk."""
        try:
            content = read_key_file(self._path)
            if content != self._content:
                count = self._take(content)
                self._content = content
                log.info("%s read again", self._words.content, extra={"keys": count})
        except OSError as exc:
            self._complain(f"{self._words.file} cannot be read: {exc.strerror}")
        except SetupError as exc:
            self._complain(str(exc))
        else:
            self._problem = None
        self._looked_at = self._now()

    def note_whether_overdue(self) -> None:
        """Asked with every request, for the thread cannot say that it hangs."""
        is_overdue = self._now() - self._looked_at > OVERDUE_S
        if is_overdue != self._is_overdue:
            self._is_overdue = is_overdue
            if is_overdue:
                words = self._words
                log.error("%s not read again, the last ones hold on: %s's disk does not answer",
                          words.content, words.file)  # fmt: skip

    def _watch(self) -> None:
        while not self._closing.wait(POLL_EVERY_S):
            try:
                self.look()
            except Exception:
                log.exception("%s could not be looked at", self._words.file)

    def _complain(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            log.error("%s not read again, the last ones hold on: %s: %s", self._words.content, self._path, problem)
