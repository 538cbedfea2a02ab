"""Ctrl-C and SIGTERM: the work is undone and ends as `KeyboardInterrupt`, but never in the middle of tidying up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = ["interruptible", "undisturbed"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Inside, the first SIGINT or SIGTERM raises `KeyboardInterrupt`; those after it are ignored, to the process's end.

    Who is impatient would otherwise interrupt the tidying up, or the last words. What is yielded says whether one came:
    code that is not Python's can turn the exception into another. Signal handlers belong to the main thread: in another
    one nothing changes.
    """
    came: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in SIGNALS} if _in_main_thread() else {}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items() if not came else ():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM wait; they are delivered at the end. For what takes milliseconds."""
    came: list[int] = []

    def wait(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, wait) for number in SIGNALS} if _in_main_thread() else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for first in came[:1]:
            signal.raise_signal(first)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
