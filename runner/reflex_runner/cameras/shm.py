"""`kind: shm`: pictures that another program on this computer writes into shared memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from reflex_runner.cameras.camera import Camera, CommonSettings, Picture, Seconds
from reflex_runner.cameras.shared_frames import FrameReader
from reflex_runner.cameras.watched import WatchedCamera
from reflex_runner.config.strict import parse_section
from reflex_runner.errors import HardwareError

__all__ = ["ShmSettings", "ShmSource", "build"]

LOOK_S: Final = 0.002
MOMENT_S: Final = 0.1
"""Without a new picture for so long one looks whether the writer began anew, in another segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShmSettings(CommonSettings):
    """What stands beside `kind: shm`. `width` and `height`, where given, must be the writer's."""

    shm_name: Annotated[str, Field(pattern=r"^/?[A-Za-z0-9._-]{1,30}$")]
    """The segment's name, as shm_open has it."""
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """The writer's; asked of nobody."""
    frozen_after_s: Seconds = 2.0


def build(cfg: Mapping[str, Any], name: str, folder: Path) -> Camera:  # noqa: ARG001  # its name is no path
    """The program that writes need not run yet."""
    settings = parse_section(ShmSettings, cfg, f"cameras.{name}")
    return WatchedCamera(
        ShmSource(settings),
        f"camera {name}",
        max_age_s=settings.max_image_age_ms / 1000,
        frozen_after_s=settings.frozen_after_s,
        rotate=settings.rotate,
    )


class ShmSource:
    """The segment under that name, whichever it is now."""

    def __init__(self, settings: ShmSettings) -> None:
        self._settings = settings
        self._reader: FrameReader | None = None

    def open(self) -> None:
        """Its size is the one that was asked for."""
        self._reader = reader = FrameReader(self._settings.shm_name)
        for what, wanted, got in (
            ("width", self._settings.width, reader.width),
            ("height", self._settings.height, reader.height),
        ):
            if wanted not in (None, got):
                raise HardwareError(f"has pictures of {what} {got} in {self._settings.shm_name!r}, not {wanted}")

    def read(self) -> Picture | None:
        """The newest, once it is whole."""
        assert self._reader is not None  # noqa: S101  # opened first
        until_s = time.monotonic() + MOMENT_S
        while (found := self._reader.newer()) is None:
            if time.monotonic() >= until_s:
                if not self._reader.is_current():
                    raise HardwareError(f"lost the program that wrote {self._settings.shm_name!r}")
                return None
            time.sleep(LOOK_S)
        return Picture(*found)

    def close(self) -> None:
        """The segment stays."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
