"""`kind: opencv`: a camera of this computer, over USB mostly, read by OpenCV (on Linux through V4L2)."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from reflex.errors import SetupError
from reflex.wording.install import install_line
from reflex_runner.cameras.camera import Camera, CommonSettings, Picture, Seconds
from reflex_runner.cameras.watched import WatchedCamera
from reflex_runner.config.strict import parse_section
from reflex_runner.errors import HardwareError

__all__ = ["Capture", "OpencvSettings", "OpencvSource", "build"]

logger = logging.getLogger("reflex.cameras")

OLDEST_STAMP_S: Final = 1.0
"""The driver's date of a picture is believed when it lies so little before now: some drivers have other clocks."""


class Capture(Protocol):
    """What is used of OpenCV's `VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: N802  # OpenCV's name

    def set(self, propId: int, value: float) -> bool: ...  # noqa: N803

    def get(self, propId: int) -> float: ...  # noqa: N803

    def read(self) -> tuple[bool, Any]: ...

    def release(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OpencvSettings(CommonSettings):
    """What stands beside `kind: opencv`."""

    device: Annotated[int, Field(ge=0)] | str = 0
    """Its number, or its path: /dev/v4l/by-id/... stays the same when another camera is plugged in."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    fourcc: Annotated[str, Field(min_length=4, max_length=4)] = "MJPG"
    """MJPG takes a tenth of the USB bandwidth that raw pictures take, so that two cameras fit on a bus."""
    frozen_after_s: Seconds = 2.0
    """A picture that stays the same to the last bit for longer is none of a camera that works; 0: never mind."""


def build(cfg: Mapping[str, Any], name: str, folder: Path) -> Camera:  # noqa: ARG001  # its device is no file
    """OpenCV is there, or the line that installs it is said."""
    settings = parse_section(OpencvSettings, cfg, f"cameras.{name}")
    cv2 = _opencv()
    backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
    source = OpencvSource(settings, f"camera {name}", lambda: cv2.VideoCapture(settings.device, backend))
    return WatchedCamera(
        source,
        f"camera {name}",
        max_age_s=settings.max_image_age_ms / 1000,
        frozen_after_s=settings.frozen_after_s,
        rotate=settings.rotate,
    )


class OpencvSource:
    """A capture, opened when it is wanted."""

    def __init__(self, settings: OpencvSettings, name: str, open_capture: Callable[[], Capture]) -> None:
        self._settings = settings
        self._name = name
        self._open_capture = open_capture
        self._cv2 = _opencv()
        self._capture: Capture | None = None

    def open(self) -> None:
        """As asked for: how pictures are coded before their size, which depends on it."""
        self._capture = capture = self._open_capture()
        if not capture.isOpened():
            raise HardwareError(
                f"cannot be opened as {self._settings.device}: is it plugged in, does another program have it, "
                "and is this user in the group video?"
            )
        for wanted, value in self._wishes():
            capture.set(wanted, value)
        self._tell_what_it_became(capture)

    def read(self) -> Picture | None:
        """Waits for the next picture; OpenCV itself gives up after ten seconds."""
        assert self._capture is not None  # noqa: S101  # opened first
        is_read, pixels = self._capture.read()
        now = time.monotonic()
        if not is_read:
            raise HardwareError(
                "gives no pictures: it was unplugged, or its USB bus has no bandwidth left; "
                "try a smaller width and height, a lower fps, or a port of another bus"
            )
        return Picture(_rgb(pixels), self._date(now))

    def close(self) -> None:
        """Free for others."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _wishes(self) -> list[tuple[int, float]]:
        cv2, settings = self._cv2, self._settings
        wishes = [
            (cv2.CAP_PROP_FOURCC, float(cv2.VideoWriter.fourcc(*settings.fourcc))),
            (cv2.CAP_PROP_FRAME_WIDTH, settings.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, settings.height),
            (cv2.CAP_PROP_FPS, settings.fps),
            (cv2.CAP_PROP_BUFFERSIZE, 1.0),  # the newest, and no queue of old ones
        ]
        return [(number, float(value)) for number, value in wishes if value is not None]

    def _tell_what_it_became(self, capture: Capture) -> None:
        cv2, settings = self._cv2, self._settings
        code = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True).decode("latin-1")
        if code != settings.fourcc:
            logger.warning(
                "%s gives %r instead of %s, which takes more of the USB bus", self._name, code, settings.fourcc
            )
        size = tuple(int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if any(wanted not in (None, got) for wanted, got in zip((settings.width, settings.height), size, strict=True)):
            logger.warning(
                "%s gives pictures of %d x %d instead of %s x %s", self._name, *size, settings.width, settings.height
            )

    def _date(self, now: float) -> float:
        """The driver's, which is when the picture was taken and not when it came."""
        assert self._capture is not None  # noqa: S101
        stamp_s = self._capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
        return stamp_s if now - OLDEST_STAMP_S < stamp_s <= now else now


def _rgb(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """From OpenCV's order, blue first; a camera that is grey gives one channel."""
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _opencv() -> Any:  # noqa: ANN401  # a module
    try:
        import cv2
    except ModuleNotFoundError as exc:
        raise SetupError(
            f"a camera of kind opencv needs OpenCV, which is not installed; run: {install_line('cameras')}"
        ) from exc
    return cv2
