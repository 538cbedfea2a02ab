"""A lock between processes: the kernel's, on a file that says who holds it. It ends with its holder in any case."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex.interruption import undisturbed

__all__ = ["LockHeldError", "file_lock", "is_locked_now"]

POLL_S: Final = 0.1
HOLDER_BYTES: Final = 200


class LockHeldError(SetupError):
    """`holder` had the lock for as long as one was ready to wait."""

    code = "lock_held"

    def __init__(self, path: Path, holder: str, advice: str) -> None:
        super().__init__(f"{holder} holds {path}; {advice}")
        self.holder = holder


@contextmanager
def file_lock(
    path: Path,
    name: str,
    *,
    timeout_s: float = 0.0,
    on_wait: Callable[[str], object] | None = None,
    is_removed: bool = False,
    advice: str = "wait until it is done, then try again",
) -> Iterator[int]:
    """Hold the lock; what is yielded is its descriptor, and a process that inherits it holds the lock on.

    `name` is how others call us while we have it: "another export". While someone else has it, `on_wait` is told once
    who that is, and this waits; `LockHeldError` after `timeout_s`. With `is_removed` the file is gone afterwards, which
    is not for a lock that is inherited. `advice` is what to do when it stays held. `OSError` where the file cannot be
    opened.
    """
    lock = _Lock(path, name, is_removed)
    deadline_s = time.monotonic() + timeout_s
    with ExitStack() as afterwards:
        taken = lock.take(afterwards)
        if isinstance(taken, str) and on_wait is not None:
            on_wait(taken)
        while isinstance(taken, str):
            if time.monotonic() >= deadline_s:
                raise LockHeldError(path, taken, advice)
            time.sleep(POLL_S)
            taken = lock.take(afterwards)
        yield taken


def is_locked_now(descriptor: int) -> bool:
    """Whether an open file's lock is ours now; it stays so until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass(frozen=True)
class _Lock:
    path: Path
    name: str
    is_removed: bool

    def take(self, afterwards: ExitStack) -> int | str:
        """Its descriptor when it is ours now, which `afterwards` lets go of; else who has it."""
        with undisturbed():
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if is_locked_now(descriptor) and self._is_named(descriptor):
                afterwards.callback(self._release, descriptor)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{self.name} (process {os.getpid()})".encode(), 0)
                return descriptor
            holder = os.pread(descriptor, HOLDER_BYTES, 0).decode(errors="replace")
            os.close(descriptor)
            return holder or "another process"

    def _is_named(self, descriptor: int) -> bool:
        """Whether the open file is the one of this name, not one whose last holder removed it meanwhile."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _release(self, descriptor: int) -> None:
        with undisturbed():
            if self.is_removed:
                # While it is still locked: whoever has opened it sees that its name is gone, and makes a new one.
                self.path.unlink(missing_ok=True)
            os.close(descriptor)
