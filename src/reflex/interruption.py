"""Ctrl-C and SIGTERM: the work is undone and ends as an exception, but never in the middle of tidying up."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

__all__ = ["ended_by_sigterm", "interruptible", "scratch_folder", "undisturbed"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
EXIT_TERMINATED: Final = 128 + signal.SIGTERM

_Handler = Callable[[int, FrameType | None], object]
_Handlers = dict[signal.Signals, Any]


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Inside, the first SIGINT or SIGTERM raises `KeyboardInterrupt`; those after it are ignored, to the process's end.

    Who is impatient would otherwise interrupt the tidying up, or the last words. What is yielded says whether one came:
    code that is not Python's can turn the exception into another. Signal handlers belong to the main thread: in another
    one nothing changes. Native code that the exception passes through prints nothing of it.
    """
    came: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        _say_nothing_more()
        raise KeyboardInterrupt

    before = _heard_by(interrupt, SIGNALS)
    try:
        yield lambda: bool(came)
    finally:
        if not came:
            _put_back(before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM wait; they are delivered at the end. For what takes milliseconds."""
    came: list[int] = []

    def wait(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = _heard_by(wait, SIGNALS)
    try:
        yield
    finally:
        _put_back(before)
        for first in came[:1]:
            signal.raise_signal(first)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Inside, SIGTERM raises `SystemExit(143)`: by itself it would end Python without any `finally`."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(EXIT_TERMINATED)

    before = _heard_by(end, (signal.SIGTERM,))
    try:
        yield
    finally:
        _put_back(before)


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder that is gone afterwards, even if the signal comes while it is being removed."""
    made: list[Path] = []
    try:
        with undisturbed():
            made.append(Path(tempfile.mkdtemp(prefix=prefix)))
        yield made[0]
    finally:
        with undisturbed():
            for folder in made:
                shutil.rmtree(folder)


def _say_nothing_more() -> None:
    """Native modules and the interpreter's callbacks print a traceback where they cannot raise the interruption."""
    sys.excepthook = lambda *_: None
    sys.unraisablehook = lambda _: None


def _heard_by(handler: _Handler, numbers: Iterable[signal.Signals]) -> _Handlers:
    """The handlers before; none in another thread than the main one, to which they belong: there nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in numbers}


def _put_back(before: _Handlers) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
