"""One camera's pictures of one episode as an mp4: frame n at n / fps, and a key frame beside every one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

__all__ = ["CODEC", "Mp4", "pixel_format"]

CODEC: Final = "h264"
ENCODER: Final = "libx264"
KEY_FRAME_EVERY: Final = 2
"""As LeRobot does: training looks frames up in any order."""
OPTIONS: Final = {"preset": "veryfast", "crf": "21", "bf": "0"}


def pixel_format(height: int, width: int) -> str:
    """Colour at half the resolution, which every player knows, needs even sides."""
    return "yuv420p" if height % 2 == width % 2 == 0 else "yuv444p"


class Mp4:
    """Written as the frames come."""

    def __init__(self, file: Path, fps: int, height: int, width: int) -> None:
        self._container = av.open(str(file), "w", format="mp4")
        self._stream: Any = self._container.add_stream(ENCODER, rate=fps, options=OPTIONS)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = pixel_format(height, width)
        self._stream.codec_context.gop_size = KEY_FRAME_EVERY
        self._stream.codec_context.thread_count = 1  # the other cores are the robot's
        self.frames = 0

    def add(self, pixels: npt.NDArray[np.uint8]) -> None:
        """The next frame, uint8 [height, width, 3] of the size that was given."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts = self.frames
        frame.time_base = 1 / self._stream.codec_context.framerate
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def finish(self) -> None:
        """Write what the encoder holds, and the index."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._container.close()
