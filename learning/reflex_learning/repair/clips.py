"""Where an episode's pictures lie in a video, and how many of them are where its frames look for them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_learning.errors import DatasetError
from reflex_learning.reading.episodes import Clip
from reflex_learning.reading.videos import read_video

__all__ = ["Films"]

TOLERANCE_S: Final = 1e-4
"""LeRobot's."""
NEAR: Final = 1 / 3
"""Of a frame: a beginning further from a frame than this may mean the one before or the one after it."""


class Films:
    """Times of the frames of videos, each opened once."""

    def __init__(self, root: Path, fps: float) -> None:
        self._root = root
        self._fps = fps
        self._times: dict[str, npt.NDArray[np.float64]] = {}

    def begin(self, clip: Clip) -> float | None:
        """The time of the frame that it begins with: where it was added up, it drifts. None where that is unclear."""
        times = self._times_of(clip.file)
        nearest = float(times[np.argmin(np.abs(times - clip.from_s))]) if len(times) else 0.0
        if not len(times) or abs(nearest - clip.from_s) > NEAR / self._fps:
            return None
        return clip.from_s if abs(nearest - clip.from_s) < TOLERANCE_S else nearest

    def whole(self, clip: Clip, length: int) -> int:
        """How many frames from the first on are where they should be."""
        times = self._times_of(clip.file)
        first = int(np.searchsorted(times, clip.from_s - TOLERANCE_S))
        found = times[first : first + length]
        off = np.abs(found - clip.from_s - np.arange(len(found)) / self._fps) >= TOLERANCE_S
        return int(np.argmax(off)) if off.any() else len(found)

    def _times_of(self, file: str) -> npt.NDArray[np.float64]:
        if file not in self._times:
            try:
                self._times[file] = read_video(self._root, file).times_s
            except DatasetError:
                self._times[file] = np.empty(0)
        return self._times[file]
