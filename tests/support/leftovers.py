"""What a piece of code leaves behind: threads and descriptors of this process, processes, and shared memory.

New ones are looked for, never a number: what another test left may end in the meantime.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

__all__ = [
    "SHARED_MEMORY",
    "descriptors",
    "has_ended",
    "leaves_no_descriptor",
    "leaves_no_thread",
    "living_of_group",
    "regions",
    "threads",
]

SHARED_MEMORY: Final = Path("/dev/shm")


def threads() -> frozenset[threading.Thread]:
    return frozenset(threading.enumerate())


def descriptors() -> frozenset[tuple[str, str]]:
    """Number and file of each; the one that lists the others is not among them."""
    return frozenset(named for link in Path("/proc/self/fd").iterdir() if (named := _named(link)) is not None)


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, be it between two looks, or waits only for its parent to collect it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def living_of_group(group: int) -> list[int]:
    """Processes of the group that still run; a zombie waits only for its new parent to collect it."""
    living = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                living.append(process.pid)
    return living


def regions(prefix: str) -> frozenset[str]:
    """Of shared memory, by the beginning of their names."""
    return frozenset(path.name for path in SHARED_MEMORY.glob(prefix + "*"))


@contextmanager
def leaves_no_thread() -> Iterator[None]:
    before = threads()
    yield
    left = threads() - before
    assert not left, f"still there: {sorted(thread.name for thread in left)}"


@contextmanager
def leaves_no_descriptor() -> Iterator[None]:
    before = descriptors()
    yield
    left = descriptors() - before
    assert not left, f"still open: {sorted(left)}"


def _named(link: Path) -> tuple[str, str] | None:
    try:
        return link.name, str(link.readlink())
    except FileNotFoundError:
        return None
