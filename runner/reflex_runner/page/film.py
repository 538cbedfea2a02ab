"""`Film`: a run's cameras side by side as an mp4, with a line of what the robot does.

A thread looks at the newest pictures so many times a second; what takes long there skips pictures, and nothing else
waits. The file is whole up to the last second whatever ends the process.
"""

from __future__ import annotations

import importlib
import logging
import threading
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from reflex.errors import SetupError
from reflex.wording.install import install_line
from reflex_runner.page.live_view import LiveView
from reflex_runner.page.pictures import as_pixels

__all__ = ["FILM_HZ", "Film"]

log = logging.getLogger("reflex.page")

FILM_HZ: Final = 15
TICKS_PER_S: Final = 90_000
LEAST_HEIGHT_PX: Final = 240
"""Smaller pictures are made larger, so that somebody sees something."""
MOST_HEIGHT_PX: Final = 720
LINE_PX: Final = 20
GROUND: Final = (16, 21, 27)
TEXT: Final = (230, 235, 240)
CLOSE_S: Final = 20.0
IN_PIECES: Final = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
CODECS: Final = ("libx264", "mpeg4")
"""The first that the installed PyAV has."""


class Film:
    """Begins with the first pictures that all cameras have; a camera that comes later is not in it."""

    def __init__(self, path: Path, view: LiveView) -> None:
        try:
            self._av = importlib.import_module("av")
        except ModuleNotFoundError as exc:
            raise SetupError(f"a film needs PyAV, which is not installed; run: {install_line('datasets')}") from exc
        self.path, self._view = path, view
        self.frames = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name="reflex-film", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Finish the file."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _guarded(self) -> None:
        try:
            self._shoot()
        except Exception:  # a full disk, a codec: the film ends, the run does not
            log.warning("the film %s ends here", self.path, exc_info=True)

    def _shoot(self) -> None:
        while not self._ended.wait(1 / FILM_HZ):
            if (first := self._picture()) is not None:
                self._write(first)
                return

    def _write(self, first: npt.NDArray[np.uint8]) -> None:
        height, width = first.shape[:2]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._av.open(str(self.path), "w", format="mp4", options=IN_PIECES) as file:
            stream = self._stream(file, width, height)
            began, last = self._view.clock.now(), -1
            while True:
                moment = round((self._view.clock.now() - began) * TICKS_PER_S)
                picture = first if last < 0 else self._picture()
                if picture is not None and picture.shape == first.shape and moment > last:
                    self._add(file, stream, picture, moment)
                    last = moment
                if self._ended.wait(1 / FILM_HZ):
                    break
            file.mux(stream.encode(None))

    def _stream(self, file: Any, width: int, height: int) -> Any:  # noqa: ANN401  # PyAV's, without types
        codec = next(name for name in CODECS if name in self._av.codecs_available)
        stream = file.add_stream(codec, rate=FILM_HZ)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS_PER_S)
        stream.codec_context.gop_size = FILM_HZ
        stream.codec_context.max_b_frames = 0
        stream.codec_context.thread_count = 1
        if codec == CODECS[0]:
            stream.options = {"preset": "ultrafast", "crf": "23", "tune": "zerolatency"}
        return stream

    def _add(self, file: Any, stream: Any, picture: npt.NDArray[np.uint8], moment: int) -> None:  # noqa: ANN401
        frame = self._av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = moment, Fraction(1, TICKS_PER_S)
        file.mux(stream.encode(frame))
        self.frames += 1

    def _picture(self) -> npt.NDArray[np.uint8] | None:
        """All cameras at one height, and the line below them; None while there is nothing to be seen."""
        found = [as_pixels(frame.image) for _, frame in sorted(self._view.newest_frames().items())]
        pictures = [pixels for pixels in found if pixels is not None]
        if not pictures:
            return None
        height = _even(min(max(LEAST_HEIGHT_PX, *(len(pixels) for pixels in pictures)), MOST_HEIGHT_PX))
        row = np.hstack([_of_height(pixels, height) for pixels in pictures])
        return np.vstack([row, self._line(row.shape[1])])

    def _line(self, width: int) -> npt.NDArray[np.uint8]:
        tick, image = self._view.last_tick, Image.new("RGB", (width, LINE_PX), GROUND)
        done = "waiting" if tick is None else f"{tick.kind}, step {tick.step}"
        text = f"{self._view.robot.name}   {self._view.mode}   {done}   guard changed {self._view.clamped_steps} steps"
        ImageDraw.Draw(image).text((6, 4), text, fill=TEXT)
        return np.asarray(image)


def _of_height(pixels: npt.NDArray[np.uint8], height: int) -> npt.NDArray[np.uint8]:
    width = _even(max(2, round(pixels.shape[1] * height / pixels.shape[0])))
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _even(size: int) -> int:
    """As video has it."""
    return size - size % 2
