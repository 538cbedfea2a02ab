"""Ctrl-C and SIGTERM: the work is undone and ends as an exception, but never in the middle of tidying up."""

from __future__ import annotations

import _thread
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NoReturn

__all__ = ["ended_by_sigterm", "interruptible", "scratch_folder", "undisturbed"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
AGAIN_S: Final = 0.01
EXIT_TERMINATED: Final = 128 + signal.SIGTERM

_Handler = Callable[[int, FrameType | None], object]
_Handlers = dict[signal.Signals, Any]


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Inside, the first SIGINT or SIGTERM raises `KeyboardInterrupt`; those after it are ignored, to the process's end.

    Who is impatient would otherwise interrupt the tidying up, or the last words. What is yielded says whether one came:
    code that is not Python's can turn the exception into another. Where it can only drop it, or print it, it is raised
    anew. Signal handlers belong to the main thread: in another one nothing changes.
    """
    interruption = _Interruption()
    before = _heard_by(interruption.begin, SIGNALS)
    try:
        yield lambda: interruption.number is not None
    finally:
        if interruption.number is None:
            _put_back(before)
        else:
            interruption.end()


class _Interruption:
    """One interruption: begun by a signal, and begun anew when native code or a finalizer has swallowed it."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._open = threading.Lock()
        self._is_over = False

    def end(self) -> None:
        """Nothing is raised from here on, nor is a signal sent that others would hear."""
        _ignore()
        with self._open:
            self._is_over = True

    def begin(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.number = number
        _ignore()
        sys.excepthook = lambda kind, *_: self._swallowed(kind)
        sys.unraisablehook = lambda lost: self._swallowed(lost.exc_type)
        raise KeyboardInterrupt

    def _swallowed(self, kind: type[BaseException]) -> None:
        """Called instead of printing a traceback by whoever cannot raise; what is raised here is lost as well."""
        if kind is KeyboardInterrupt and self.number is not None and not self._is_over:
            signal.signal(self.number, self._begin_anew)
            self._send_in_a_moment(self.number)

    def _begin_anew(self, number: int, frame: FrameType | None) -> None:
        """Not yet in the hook, nor where another exception is being handled: it may be ours, and the work tidied up."""
        if sys.exc_info()[0] is None and not _has(frame, self._swallowed.__code__):
            _ignore()
            raise KeyboardInterrupt
        self._send_in_a_moment(number)

    def _send_in_a_moment(self, number: int) -> None:
        # Not a threading.Thread: whoever is interrupted may hold the lock that its start takes.
        _thread.start_new_thread(self._send, (number,))

    def _send(self, number: int) -> None:
        time.sleep(AGAIN_S)
        with self._open:
            if not self._is_over:
                os.kill(os.getpid(), number)


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


def _ignore() -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _has(frame: FrameType | None, code: CodeType) -> bool:
    """Whether `frame` is one of a function's, or below one."""
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def _heard_by(handler: _Handler, numbers: Iterable[signal.Signals]) -> _Handlers:
    """The handlers before; none in another thread than the main one, to which they belong: there nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in numbers}


def _put_back(before: _Handlers) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
