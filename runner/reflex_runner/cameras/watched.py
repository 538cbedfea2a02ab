"""The thread of a camera: looks, measures its rate, notices when it is frozen, and opens it again when it is gone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.connector import CameraFrame
from reflex_runner.cameras.camera import Picture, Source
from reflex_runner.cameras.rate import Rate
from reflex_runner.errors import HardwareError

__all__ = ["WatchedCamera"]

logger = logging.getLogger("reflex.cameras")

RETRY_S: Final = 0.25
"""Twice as long after each try that failed, up to the next."""
LONGEST_RETRY_S: Final = 5.0
STOP_S: Final = 2.0
"""A driver may sit in a call for ten seconds; its thread then ends by itself, with nobody waiting."""
SAMPLE: Final = 16
"""Two pictures that differ mostly do so in every sixteenth row and column already."""


class WatchedCamera:
    """A `Camera` made of a `Source`. `frozen_after_s` 0: the very same picture may come for ever, as from a file."""

    def __init__(
        self,
        source: Source,
        name: str,
        *,
        max_age_s: float,
        frozen_after_s: float,
        rotate: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._name = name
        self._max_age_s = max_age_s
        self._frozen_after_s = frozen_after_s
        self._quarters = -rotate // 90
        self._now = now
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._latest: CameraFrame | None = None
        self._last: Picture | None = None
        self._same_since_s = self._started_s = now()
        self._rate = Rate()
        self._failure: str | None = None
        self._said: str | None = None

    def start(self) -> None:
        """Begin to look, from a thread of its own."""
        if self._thread is None:
            self._ending.clear()
            self._started_s = self._now()
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def latest(self) -> CameraFrame | None:
        """The newest picture. One of a frozen camera keeps the date at which it froze."""
        with self._lock:
            return self._latest

    def stop(self) -> None:
        """Give the camera back."""
        self._ending.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(STOP_S)
            if thread.is_alive():
                logger.warning("%s: its driver does not answer; it is given back when it does", self._name)

    @property
    def rate_hz(self) -> float | None:
        """Measured over the last seconds."""
        with self._lock:
            return self._rate.hz(self._now())

    @property
    def problem(self) -> str | None:
        """What is wrong, looked at now: a driver that sits in a call tells nobody."""
        with self._lock:
            found = self._problem(self._now())
            if found is None and self._said is not None:
                logger.info("%s gives pictures again", self._name)
            elif found is not None and self._said is None:
                logger.warning("%s", found)
            self._said = found
            return found

    def _problem(self, now: float) -> str | None:
        if self._failure is not None:
            return f"{self._name} {self._failure}"
        last_s = self._started_s if self._last is None else self._last.captured_s
        if self._thread is not None and now - last_s > self._max_age_s:
            what = "no picture since it was started" if self._last is None else "no new picture"
            return (
                f"{self._name} has given {what}, {now - last_s:.1f} s ago: is it plugged in, and does its cable hold?"
            )
        same_s = now - self._same_since_s
        if self._is_frozen(now):
            return f"{self._name} has given the very same picture for {same_s:.1f} s: it is frozen or covered"
        return None

    def _is_frozen(self, now: float) -> bool:
        return self._last is not None and 0 < self._frozen_after_s < now - self._same_since_s

    def _run(self) -> None:
        wait_s = RETRY_S
        while not self._ending.is_set():
            try:
                self._source.open()
                while not self._ending.is_set():
                    if self._look():
                        wait_s = RETRY_S
            except HardwareError as exc:
                self._fail(str(exc))
            except Exception as exc:  # noqa: BLE001  # a driver's own; the camera is opened anew, whatever it was
                self._fail(f"failed: {type(exc).__name__}: {exc}")
            finally:
                self._source.close()
            self._ending.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_RETRY_S)

    def _look(self) -> bool:
        picture = self._source.read()
        if picture is not None:
            self._take(picture)
        _ = self.problem  # told to the log
        return picture is not None

    def _take(self, picture: Picture) -> None:
        is_same = self._last is not None and _is_same(picture.pixels, self._last.pixels)
        turned = np.ascontiguousarray(np.rot90(picture.pixels, self._quarters))
        with self._lock:
            self._failure = None
            self._last = picture
            self._rate.note(picture.captured_s)
            if not is_same:
                self._same_since_s = picture.captured_s
            dated_s = self._same_since_s if self._is_frozen(picture.captured_s) else picture.captured_s
            self._latest = CameraFrame(turned, dated_s)

    def _fail(self, what: str) -> None:
        with self._lock:
            self._failure = what
        _ = self.problem


def _is_same(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> bool:
    if one.shape != other.shape or not np.array_equal(one[::SAMPLE, ::SAMPLE], other[::SAMPLE, ::SAMPLE]):
        return False
    return np.array_equal(one, other)
