"""One writer at a time in a model repository: an export, or a build of engines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from reflex.errors import RepositoryError, SetupError
from reflex.file_lock import LockHeldError, file_lock

__all__ = ["LOCK_FILE", "lock_repository"]

LOCK_FILE: Final = ".reflex-export.lock"
TIMEOUT_S: Final = 3_600.0
"""The engines of a 3 B model are built in 2 to 5 minutes; an hour means that their build hangs."""


def lock_repository(
    repository: Path, name: str, afterwards: ExitStack, on_wait: Callable[[str], object] | None = None
) -> None:
    """Take the lock; `afterwards` lets go of it. `name` is how others call us while we have it: "another export".

    While someone else has it: `RepositoryError`, which says who. With `on_wait` it is told who that is, and this waits.
    """
    timeout_s = 0.0 if on_wait is None else TIMEOUT_S
    lock = file_lock(repository / LOCK_FILE, name, timeout_s=timeout_s, on_wait=on_wait, is_removed=True)
    try:
        afterwards.enter_context(lock)
    except LockHeldError as exc:
        raise RepositoryError(
            f"{exc.holder} is writing into {repository}; wait until it is done, then try again"
        ) from exc
    except OSError as exc:
        raise SetupError(
            f"the model repository {repository} cannot be written ({exc.strerror}); name a folder that can be"
        ) from exc
