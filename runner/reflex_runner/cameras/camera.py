"""What a run asks of a camera, and what a kind of camera gives to be one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from reflex.connector import CameraFrame

__all__ = ["Camera", "CommonSettings", "Picture", "Pixels", "Seconds", "Source"]

Pixels = Annotated[int, Field(ge=1, le=8192)]
Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]


class Camera(Protocol):
    """Never blocks: whoever asks gets the newest picture there is, and judges its age by its date."""

    def start(self) -> None:
        """Begin to look. What keeps the camera from working is a `problem`, and tried again."""
        ...

    def latest(self) -> CameraFrame | None:
        """The newest picture; None while there was none."""
        ...

    def stop(self) -> None:
        """Give the camera back. May be called twice, and without `start`."""
        ...

    @property
    def rate_hz(self) -> float | None:
        """Pictures a second, as measured; None before the second one, 0 when none comes any more."""
        ...

    @property
    def problem(self) -> str | None:
        """What is wrong with it now, in a sentence; None when nothing is."""
        ...


@dataclass(frozen=True, slots=True)
class Picture:
    """uint8 of shape H x W x 3, RGB, and when it was taken on the monotonic clock."""

    pixels: npt.NDArray[np.uint8]
    captured_s: float


class Source(Protocol):
    """One kind of camera, used by one thread. What raises `HardwareError` is closed, and opened anew."""

    def open(self) -> None: ...

    def read(self) -> Picture | None:
        """The next picture; None when none came for a moment."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class CommonSettings:
    """What every kind of camera has in robot.yaml."""

    width: Pixels | None = None
    height: Pixels | None = None
    rotate: Literal[0, 90, 180, 270] = 0
    """Degrees, clockwise."""
    max_image_age_ms: Annotated[float, Field(gt=0, le=60_000)] = 500.0
    """Without a new picture for longer, something is wrong."""
