"""A camera never makes anybody wait, tells what is wrong with it, and is opened again when it is gone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from reflex_runner.cameras import watched
from reflex_runner.cameras.camera import Picture
from reflex_runner.cameras.watched import WatchedCamera
from reflex_runner.errors import HardwareError
from support.leftovers import leaves_no_thread
from support.waiting import HANGS_S, wait_until

NEVER = threading.Event()


class Played:
    """A source: gives what it is handed, a picture or an exception, and nothing meanwhile."""

    def __init__(self) -> None:
        self.next: queue.Queue[Any] = queue.Queue()
        self.now = 100.0
        self.opened = self.closed = 0
        self.stuck = threading.Event()
        self.free = threading.Event()

    def open(self) -> None:
        self.opened += 1

    def read(self) -> Picture | None:
        try:
            given = self.next.get(timeout=0.01)
        except queue.Empty:
            return None
        if given is NEVER:
            self.stuck.set()
            self.free.wait(HANGS_S)
            return None
        if isinstance(given, Exception):
            raise given
        return Picture(given, self.now)

    def close(self) -> None:
        self.closed += 1

    def camera(self, **how: Any) -> WatchedCamera:
        given = {"max_age_s": 0.5, "frozen_after_s": 2.0, **how}
        return WatchedCamera(self, "camera front", now=lambda: self.now, **given)

    def gives(self, camera: WatchedCamera, given: npt.NDArray[np.uint8], after_s: float = 0.0) -> None:
        """Once the camera has it."""
        self.now += after_s
        before = camera.latest()
        self.next.put(given)
        wait_until(lambda: camera.latest() is not before, "the picture arrives")


def picture(value: int, height: int = 4, width: int = 6) -> npt.NDArray[np.uint8]:
    pixels = np.full((height, width, 3), value, np.uint8)
    pixels[0, 0] = 255
    return pixels


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(watched, "RETRY_S", 0.001)
    with leaves_no_thread():
        yield


def test_the_newest_picture_is_there_with_its_date_and_turned() -> None:
    source = Played()
    camera = source.camera(rotate=90)
    assert camera.latest() is None
    camera.start()
    source.gives(camera, picture(1))
    source.gives(camera, picture(2), after_s=0.1)
    frame = camera.latest()
    camera.stop()

    assert frame is not None
    assert isinstance(frame.image, np.ndarray)
    assert frame.captured_s == 100.1
    assert frame.image.shape == (6, 4, 3)
    assert frame.image[0, 3].tolist() == [255, 255, 255]  # its top left corner is its top right one now
    assert frame.image.flags["C_CONTIGUOUS"]
    assert camera.rate_hz == pytest.approx(10)
    assert (camera.problem, source.opened, source.closed) == (None, 1, 1)


def test_a_driver_that_never_returns_keeps_nobody_waiting_and_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "STOP_S", 0.01)
    source = Played()
    camera = source.camera()
    camera.start()
    source.gives(camera, picture(1))
    source.next.put(NEVER)
    assert source.stuck.wait(HANGS_S)

    source.now += 0.4
    assert camera.problem is None
    source.now += 0.8
    assert camera.problem == (
        "camera front has given no new picture, 1.2 s ago: is it plugged in, and does its cable hold?"
    )
    assert camera.latest() is not None
    camera.stop()
    source.free.set()
    wait_until(lambda: source.closed == 1, "the driver gives it back")


def test_one_that_never_gives_a_picture_is_noticed() -> None:
    source = Played()
    camera = source.camera()
    camera.start()
    source.now += 3.0

    assert camera.problem == (
        "camera front has given no picture since it was started, 3.0 s ago: is it plugged in, and does its cable hold?"
    )
    camera.stop()


def test_one_that_shows_the_same_for_long_is_frozen_and_its_picture_keeps_its_date() -> None:
    source = Played()
    camera = source.camera()
    camera.start()
    source.gives(camera, picture(1))
    for _ in range(4):
        source.gives(camera, picture(1), after_s=0.5)
    assert camera.problem is None
    frame = camera.latest()
    assert frame is not None
    assert frame.captured_s == pytest.approx(102.0)

    source.gives(camera, picture(1), after_s=0.1)
    frozen = camera.latest()
    assert camera.problem == "camera front has given the very same picture for 2.1 s: it is frozen or covered"
    assert frozen is not None
    assert frozen.captured_s == 100.0

    source.gives(camera, picture(2), after_s=0.1)
    assert camera.problem is None
    camera.stop()


def test_pictures_that_differ_in_one_value_are_not_the_same() -> None:
    source = Played()
    camera = source.camera()
    camera.start()
    for number in range(6):
        pixels = picture(1, 40, 60)
        pixels[33, 47, 1] = number
        source.gives(camera, pixels, after_s=0.49)
        assert camera.problem is None
    camera.stop()


def test_the_same_picture_may_come_for_ever_where_it_is_meant_to() -> None:
    source = Played()
    camera = source.camera(frozen_after_s=0.0)
    camera.start()
    for _ in range(20):
        source.gives(camera, picture(1), after_s=0.49)
    assert camera.problem is None
    camera.stop()


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (HardwareError("gives no pictures: it was unplugged"), "camera front gives no pictures: it was unplugged"),
        (OSError(19, "No such device"), "camera front failed: OSError: [Errno 19] No such device"),
    ],
)
def test_one_that_fails_is_closed_opened_anew_and_told_of_once(
    failure: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = Played()
    camera = source.camera()
    with caplog.at_level("INFO", "reflex.cameras"):
        camera.start()
        source.gives(camera, picture(1))
        source.next.put(failure)
        wait_until(lambda: source.opened > 1, "it is opened anew")
        assert camera.problem == said
        source.gives(camera, picture(2), after_s=0.1)
        wait_until(lambda: "camera front gives pictures again" in caplog.messages, "it is told")
        camera.stop()

    assert caplog.messages == [said, "camera front gives pictures again"]
    assert source.opened == source.closed


class Waits:
    """Stands in for the event that ends the thread: remembers for how long it waited, and ends after so many."""

    def __init__(self, most: int) -> None:
        self.waited: list[float] = []
        self._most = most

    def is_set(self) -> bool:
        return len(self.waited) >= self._most

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)


def test_it_waits_longer_between_its_tries_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "RETRY_S", 0.25)
    source = Played()
    for _ in range(7):
        source.next.put(HardwareError("is gone"))
    source.next.put(picture(1))
    source.next.put(HardwareError("is gone again"))
    camera = source.camera()
    waits = Waits(8)
    monkeypatch.setattr(camera, "_ending", waits)
    camera._run()

    assert waits.waited == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 0.25]


def test_it_may_be_stopped_twice_and_without_a_start() -> None:
    camera = Played().camera()
    camera.stop()
    camera.start()
    camera.start()
    camera.stop()
    camera.stop()
