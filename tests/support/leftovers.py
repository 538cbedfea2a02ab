"""What a piece of code leaves behind in this process: threads and descriptors that were not there before it.

New ones are looked for, never a number: what another test left may end in the meantime.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["descriptors", "leaves_no_descriptor", "leaves_no_thread", "threads"]


def threads() -> frozenset[threading.Thread]:
    return frozenset(threading.enumerate())


def descriptors() -> frozenset[tuple[str, str]]:
    """Number and file of each; the one that lists the others is not among them."""
    return frozenset(named for link in Path("/proc/self/fd").iterdir() if (named := _named(link)) is not None)


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
