"""A camera of OpenCV is asked for MJPG and the size, gives RGB with the driver's date, and says what it became.

No camera is plugged into the machine that tests: its capture is played.
"""

from __future__ import annotations

import builtins
import sys
import time
from typing import Any

import cv2
import numpy as np
import pytest

from reflex.errors import SetupError
from reflex_runner.cameras.build import build_camera
from reflex_runner.cameras.camera import Picture
from reflex_runner.cameras.opencv import OpencvSettings, OpencvSource
from reflex_runner.errors import HardwareError
from support.waiting import wait_until

BLUE = np.zeros((4, 6, 3), np.uint8)
BLUE[:, :, 0] = 200


class PlayedCapture:
    """Takes what is asked of it but for `stubborn`, and gives `pictures`."""

    def __init__(self, *pictures: Any, opens: bool = True, stubborn: dict[int, float] | None = None) -> None:
        self.asked: list[int] = []
        self.is_released = False
        self._pictures = list(pictures)
        self._opens = opens
        self._stubborn = stubborn or {}
        self._values: dict[int, float] = {}

    def isOpened(self) -> bool:  # noqa: N802
        return self._opens

    def set(self, number: int, value: float) -> bool:
        self.asked.append(number)
        self._values[number] = value
        return True

    def get(self, number: int) -> float:
        return (self._values | self._stubborn).get(number, 0.0)

    def read(self) -> tuple[bool, Any]:
        return (True, self._pictures.pop(0)) if self._pictures else (False, None)

    def release(self) -> None:
        self.is_released = True


def source_of(capture: PlayedCapture, **settings: Any) -> OpencvSource:
    return OpencvSource(OpencvSettings(**settings), "camera front", lambda: capture)


def read(source: OpencvSource) -> Picture:
    picture = source.read()
    assert picture is not None
    return picture


def test_how_pictures_are_coded_is_asked_before_their_size() -> None:
    capture = PlayedCapture()
    source_of(capture, width=640, height=480, fps=30).open()

    assert capture.asked == [
        cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS,
        cv2.CAP_PROP_BUFFERSIZE,
    ]  # fmt: skip
    assert capture.get(cv2.CAP_PROP_FOURCC) == cv2.VideoWriter.fourcc(*"MJPG")


def test_what_is_not_asked_for_is_left_as_the_camera_has_it() -> None:
    capture = PlayedCapture()
    source_of(capture).open()

    assert capture.asked == [cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_BUFFERSIZE]


@pytest.mark.parametrize("pixels", [BLUE, np.full((4, 6), 7, np.uint8)], ids=["colour", "grey"])
def test_pictures_are_rgb(pixels: Any) -> None:
    source = source_of(PlayedCapture(pixels))
    source.open()
    got = read(source).pixels

    assert (got.shape, got.flags["C_CONTIGUOUS"]) == ((4, 6, 3), True)
    assert got[0, 0].tolist() == ([0, 0, 200] if pixels is BLUE else [7, 7, 7])


@pytest.mark.parametrize(("early_s", "is_believed"), [(0.05, True), (-5.0, False), (1e9, False), (3.0, False)])
def test_the_drivers_date_counts_where_it_is_of_this_clock(early_s: float, is_believed: bool) -> None:
    stamp_s = time.monotonic() - early_s
    source = source_of(PlayedCapture(BLUE, stubborn={cv2.CAP_PROP_POS_MSEC: 1000 * stamp_s}))
    source.open()
    before_s = time.monotonic()
    dated_s = read(source).captured_s

    assert (dated_s == pytest.approx(stamp_s, abs=1e-6)) == is_believed
    assert is_believed or before_s <= dated_s <= time.monotonic()


def test_what_it_became_is_said_where_it_is_not_what_was_asked(caplog: pytest.LogCaptureFixture) -> None:
    yuyv = float(cv2.VideoWriter.fourcc(*"YUYV"))
    stubborn = {cv2.CAP_PROP_FOURCC: yuyv, cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0}
    source_of(PlayedCapture(stubborn=stubborn), width=1280, height=720).open()

    assert caplog.messages == [
        "camera front gives 'YUYV' instead of MJPG, which takes more of the USB bus",
        "camera front gives pictures of 640 x 480 instead of 1280 x 720",
    ]


def test_one_that_cannot_be_opened_and_one_that_stops_are_said() -> None:
    shut = source_of(PlayedCapture(opens=False), device="/dev/video7")
    with pytest.raises(HardwareError, match=r"cannot be opened as /dev/video7: is it plugged in, does another program"):
        shut.open()

    capture = PlayedCapture()
    gone = source_of(capture)
    gone.open()
    with pytest.raises(HardwareError, match=r"gives no pictures: it was unplugged, or its USB bus has no bandwidth"):
        gone.read()
    gone.close()
    gone.close()
    assert capture.is_released


def test_a_device_that_is_not_there_is_a_problem_and_no_error() -> None:
    camera = build_camera("opencv", {"device": "/dev/video-of-nobody"}, name="front")
    camera.start()
    wait_until(lambda: camera.problem, "it is noticed")
    camera.stop()

    assert str(camera.problem).startswith("camera front cannot be opened as /dev/video-of-nobody")


def test_where_opencv_is_missing_the_line_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "cv2":
            raise ModuleNotFoundError("No module named 'cv2'", name="cv2")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "cv2")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SetupError, match=r"needs OpenCV, which is not installed; run: .*\[cameras\]"):
        build_camera("opencv", {})
