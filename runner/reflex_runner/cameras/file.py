"""`kind: file`: a video or a folder of pictures, over and over, for trying without a camera and for tests."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from pydantic import Field

from reflex.errors import SetupError
from reflex.wording.install import install_line
from reflex_runner.cameras.camera import Camera, CommonSettings, Picture, Seconds
from reflex_runner.cameras.watched import WatchedCamera
from reflex_runner.config.strict import parse_section
from reflex_runner.errors import HardwareError

__all__ = ["FileSettings", "FileSource", "build"]

PICTURES: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
MOMENT_S: Final = 0.1
"""No wait is longer, so that a camera of one picture an hour stops at once."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings(CommonSettings):
    """What stands beside `kind: file`. With `width` and `height` pictures are brought to that size."""

    path: Annotated[str, Field(min_length=1)]
    """A video, a picture, or a folder of pictures, which come in the order of their names."""
    fps: Annotated[float, Field(gt=0, le=1000)] = 30.0
    frozen_after_s: Seconds = 0.0


def build(cfg: Mapping[str, Any], name: str, folder: Path) -> Camera:
    """The file is there, and what reads it is installed."""
    settings = parse_section(FileSettings, cfg, f"cameras.{name}")
    source = FileSource(folder / settings.path, settings)
    problem = source.what_is_missing()
    if problem:
        raise SetupError(f"cameras.{name}.path: {problem}")
    return WatchedCamera(
        source,
        f"camera {name}",
        max_age_s=max(settings.max_image_age_ms / 1000, 2 / settings.fps),
        frozen_after_s=settings.frozen_after_s,
        rotate=settings.rotate,
    )


class FileSource:
    """Its pictures in time, from the first again after the last."""

    def __init__(self, path: Path, settings: FileSettings) -> None:
        self._path = path
        self._settings = settings
        self._size = (settings.width, settings.height) if settings.width and settings.height else None
        self._pictures: Iterator[Pixels] = iter(())
        self._due_s = 0.0

    def what_is_missing(self) -> str | None:
        """What keeps it from giving pictures at all."""
        if not self._path.exists():
            return f"there is no {self._path}"
        if self._path.is_dir() and not self._files():
            return f"no pictures lie in {self._path}; their names end in {', '.join(sorted(PICTURES))}"
        if self._is_video and _av() is None:
            return f"a video needs the package av, which is not installed; run: {install_line('datasets')}"
        return None

    def open(self) -> None:
        """At its first picture."""
        self._pictures = self._again_and_again()
        self._due_s = time.monotonic()

    def read(self) -> Picture | None:
        """The next one, when its time has come."""
        early_s = self._due_s - time.monotonic()
        time.sleep(max(0.0, min(early_s, MOMENT_S)))
        if early_s > MOMENT_S:
            return None
        pixels = next(self._pictures)
        self._due_s += 1 / self._settings.fps
        return Picture(pixels, time.monotonic())

    def close(self) -> None:
        """What a video holds open goes with it."""
        self._pictures = iter(())

    @property
    def _is_video(self) -> bool:
        return self._path.is_file() and self._path.suffix.lower() not in PICTURES

    def _files(self) -> list[Path]:
        if self._path.is_file():
            return [self._path]
        return sorted(path for path in self._path.iterdir() if path.suffix.lower() in PICTURES)

    def _again_and_again(self) -> Iterator[Pixels]:
        while True:
            seen = 0
            for pixels in self._of_video() if self._is_video else map(self._decoded, self._files()):
                seen += 1
                yield pixels
            if not seen:
                raise HardwareError(f"has no picture in {self._path}")

    def _of_video(self) -> Iterator[Pixels]:
        av: Any = _av()
        try:
            with av.open(str(self._path)) as container:
                for frame in container.decode(video=0):
                    yield self._sized(frame.to_image())
        except (av.error.FFmpegError, IndexError) as exc:
            raise HardwareError(f"cannot read {self._path} as a video: {exc}") from exc

    def _decoded(self, path: Path) -> Pixels:
        try:
            with Image.open(path) as image:
                return self._sized(image)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as exc:
            raise HardwareError(f"cannot read {path}: {exc}") from exc

    def _sized(self, image: Image.Image) -> Pixels:
        image = image.convert("RGB")
        return np.array(image if self._size is None else image.resize(self._size), np.uint8)


def _av() -> Any:  # noqa: ANN401  # a module, or None
    try:
        import av
    except ModuleNotFoundError:
        return None
    return av
