"""`Films`: what the cameras saw of episodes that failed, as an mp4 and as a strip of pictures."""

from __future__ import annotations

import importlib
import io
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from reflex.connector import CameraFrame
from reflex.errors import SetupError
from reflex_runner.page.pictures import as_jpeg, as_pixels

__all__ = ["FILM_HZ", "STRIP_PICTURES", "Films"]

FILM_HZ: Final = 15
EVERY: Final = 2
"""Of the robot's steps: 30 a second make FILM_HZ."""
MOST_PICTURES: Final = 2000
"""Of an episode, the last ones: how it ended says why."""
HEIGHT_PX: Final = 160
STRIP_PICTURES: Final = 8
CODECS: Final = ("libx264", "mpeg4")

Frames = Callable[[], Mapping[str, CameraFrame]]


class Films:
    """Keeps the pictures of the episode that goes on, and writes them down when it has failed."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._left = folder, most
        self._frames: Frames | None = None
        self._seed = self._steps = 0
        self._pictures: deque[bytes] = deque(maxlen=MOST_PICTURES)

    def begin(self, seed: int, frames: Frames | None) -> None:
        """The episode of that seed begins."""
        self._seed, self._frames, self._steps = seed, frames, 0
        self._pictures.clear()

    def look(self) -> None:
        """A step is over."""
        self._steps += 1
        if self._left > 0 and self._frames is not None and self._steps % EVERY == 1:
            picture = _side_by_side(self._frames())
            if picture is not None:
                self._pictures.append(as_jpeg(picture) or b"")

    def keep(self) -> Path | None:
        """The film of the episode, or its strip where no film can be made; None where there is nothing to be seen."""
        if not self._pictures or self._left <= 0:
            return None
        self._left -= 1
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            strip = self._folder / f"seed_{self._seed}.jpg"
            strip.write_bytes(_strip(list(self._pictures)))
            return _film(self._folder / f"seed_{self._seed}.mp4", self._pictures) or strip
        except OSError as exc:
            raise SetupError(f"{self._folder} cannot be written ({exc.strerror}); give another --out") from exc


def _side_by_side(frames: Mapping[str, CameraFrame]) -> npt.NDArray[np.uint8] | None:
    found = [as_pixels(frame.image) for _, frame in sorted(frames.items())]
    pictures = [_of_height(pixels) for pixels in found if pixels is not None]
    return np.hstack(pictures) if pictures else None


def _of_height(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    width = max(2, round(pixels.shape[1] * HEIGHT_PX / pixels.shape[0] / 2) * 2)
    return np.asarray(Image.fromarray(pixels).resize((width, HEIGHT_PX), Image.Resampling.BILINEAR))


def _strip(pictures: Sequence[bytes]) -> bytes:
    """Some of them, from the first to the last, beside each other."""
    places = np.linspace(0, len(pictures) - 1, min(STRIP_PICTURES, len(pictures))).round().astype(int)
    shown = [_pixels_of(pictures[place]) for place in places]
    file = io.BytesIO()
    Image.fromarray(np.hstack([each for each in shown if each.shape == shown[0].shape])).save(file, "JPEG", quality=80)
    return file.getvalue()


def _pixels_of(picture: bytes) -> npt.NDArray[np.uint8]:
    pixels = as_pixels(picture)
    return np.zeros((HEIGHT_PX, 2, 3), np.uint8) if pixels is None else pixels


def _film(path: Path, pictures: Sequence[bytes]) -> Path | None:
    """None where PyAV, of the extra `datasets`, is not installed."""
    try:
        av: Any = importlib.import_module("av")
    except ModuleNotFoundError:
        return None
    first = _pixels_of(pictures[0])
    with av.open(str(path), "w", format="mp4") as file:
        codec = next(name for name in CODECS if name in av.codecs_available)
        stream = file.add_stream(codec, rate=FILM_HZ)
        stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            pixels = _pixels_of(picture)
            if pixels.shape == first.shape:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))
    return path
