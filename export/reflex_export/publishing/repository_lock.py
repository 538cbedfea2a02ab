"""One writer at a time in a model repository: an export, or a build of engines.

The lock is the kernel's, on a file that says who holds it; it ends with its holder, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from reflex.errors import RepositoryError, SetupError
from reflex.interruption import undisturbed

__all__ = ["LOCK_FILE", "lock_repository"]

LOCK_FILE: Final = ".reflex-export.lock"
POLL_S: Final = 0.1
TIMEOUT_S: Final = 3_600.0
"""The engines of a 3 B model are built in 2 to 5 minutes; an hour means that their build hangs."""
HOLDER_BYTES: Final = 200


def lock_repository(
    repository: Path, name: str, afterwards: ExitStack, on_wait: Callable[[str], object] | None = None
) -> None:
    """Take the lock; `afterwards` lets go of it. `name` is how others call us while we have it: "another export".

    While someone else has it: `RepositoryError`, which says who. With `on_wait` it is told who that is, and this waits.
    """
    path = repository / LOCK_FILE
    holder = _take(path, name, afterwards)
    if holder is not None and on_wait is not None:
        on_wait(holder)
        holder = _wait(path, name, afterwards)
    if holder is not None:
        raise RepositoryError(f"{holder} is writing into {repository}; wait until it is done, then try again")


def _wait(path: Path, name: str, afterwards: ExitStack) -> str | None:
    deadline_s = time.monotonic() + TIMEOUT_S
    holder = _take(path, name, afterwards)
    while holder is not None and time.monotonic() < deadline_s:
        time.sleep(POLL_S)
        holder = _take(path, name, afterwards)
    return holder


def _take(path: Path, name: str, afterwards: ExitStack) -> str | None:
    """None when the lock is ours now, else who has it."""
    with undisturbed():
        descriptor = _opened(path)
        if _is_free(descriptor) and _is_named(path, descriptor):
            afterwards.callback(_release, path, descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{name} (process {os.getpid()})".encode(), 0)
            return None
        holder = os.pread(descriptor, HOLDER_BYTES, 0).decode(errors="replace")
        os.close(descriptor)
        return holder or "another process"


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise SetupError(
            f"the model repository {path.parent} cannot be written ({exc.strerror}); name a folder that can be"
        ) from exc


def _release(path: Path, descriptor: int) -> None:
    with undisturbed():
        # While it is still locked: whoever has opened it sees that its name is gone, and makes a new one.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _is_free(descriptor: int) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one of this name, not one whose last holder removed it meanwhile."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
