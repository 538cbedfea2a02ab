"""Videos of others: when each frame is, from the packets alone, and what frames show, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np
import numpy.typing as npt

from reflex_learning.errors import DatasetError
from reflex_learning.reading.places import regular_file

__all__ = ["Picture", "VideoFacts", "colours_of", "few_of", "pictures_of", "read_video"]

MOST_PIXELS: Final = 64_000_000
"""Of a frame: 8K is 33 million."""
MOST_PACKETS: Final = 5_000_000
LOOKED_AT: Final = 24
"""Rows and columns of a frame that are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoFacts:
    """Of one file; `times_s` are those of its frames, in order."""

    width: int
    height: int
    codec: str
    pixel_format: str
    times_s: npt.NDArray[np.float64]

    @property
    def fps(self) -> float | None:
        """Of its frames as they follow each other."""
        steps = np.diff(self.times_s)
        return float(1 / np.median(steps)) if len(steps) and np.median(steps) > 0 else None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """The brightness of a frame's pixels, uint8 [height, width]."""

    at_s: float
    pixels: npt.NDArray[np.uint8]


@contextmanager
def _opened(root: Path, relative: str) -> Iterator[tuple[Any, Any]]:
    """Container and video stream. As a file and by its name, so that nothing in it makes FFmpeg open another."""
    path = regular_file(root, relative)
    try:
        with path.open("rb") as file, av.open(file, format="mp4", metadata_errors="replace") as container:
            if not container.streams.video:
                raise DatasetError(f"{relative} holds no video; copy it anew")
            stream: Any = container.streams.video[0]
            if stream.codec_context is None:
                raise DatasetError(f"{relative} has a codec that nothing here knows; encode it anew")
            if stream.width * stream.height > MOST_PIXELS:
                raise DatasetError(f"{relative} claims frames of {stream.width} x {stream.height}; copy it anew")
            yield container, stream
    except (av.error.FFmpegError, OSError, ValueError, EOFError, MemoryError) as exc:
        raise DatasetError(f"{relative} is no readable mp4 ({_reason(exc)}); copy or encode it anew") from exc


def _reason(exc: BaseException) -> str:
    told = getattr(exc, "strerror", None) or str(exc)
    return str(told).split("\n")[0][:120]


def read_video(root: Path, relative: str) -> VideoFacts:
    """Without decoding a frame."""
    with _opened(root, relative) as (container, stream):
        times: list[float] = []
        for packet in container.demux(stream):
            if packet.pts is not None and packet.size:
                times.append(float(packet.pts * packet.time_base))
            if len(times) > MOST_PACKETS:
                raise DatasetError(f"{relative} has more than {MOST_PACKETS:,} frames; split it")
        codec = stream.codec_context
        return VideoFacts(
            stream.width,
            stream.height,
            str(codec.codec.canonical_name),
            str(codec.pix_fmt),
            np.sort(np.array(times, np.float64)),
        )


def pictures_of(root: Path, relative: str) -> Iterator[Picture]:
    """Every frame, decoded; `DatasetError` at the first that cannot be."""
    for frame in _frames(root, relative):
        yield Picture(float(frame.time or 0.0), _brightness(frame))


def colours_of(root: Path, relative: str) -> Iterator[npt.NDArray[np.uint8]]:
    """The same as uint8 [height, width, 3]."""
    for frame in _frames(root, relative):
        yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _frames(root: Path, relative: str) -> Iterator[Any]:
    with _opened(root, relative) as (container, stream):
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"err_detect": "explode"}
        yield from container.decode(stream)


def _brightness(frame: Any) -> npt.NDArray[np.uint8]:  # noqa: ANN401  # PyAV has no types
    """The plane of it where there is one: to convert a whole frame costs more than to decode it."""
    if not frame.format.name.startswith("yuv") or frame.format.components[0].bits != 8:
        frame = frame.reformat(format="gray")
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    return np.array(rows)


def few_of(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Of [height, width]: so many rows and columns, spread over all of it."""
    down, across = (np.linspace(0, length - 1, LOOKED_AT).astype(int) for length in rows.shape)
    return np.array(rows[np.ix_(down, across)], np.uint8)
