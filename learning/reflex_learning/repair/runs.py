"""Rows of an episode as they lie, and what the columns that count them say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from reflex_learning.errors import DatasetError
from reflex_learning.reading.frames import Frames, frames_of
from reflex_learning.reading.tables import Array

__all__ = ["Run", "runs_of"]

TOLERANCE_S: Final = 1e-4
COUNTED: Final = ("frame_index", "timestamp", "task_index")


@dataclass
class Run:
    """Rows of one `episode_index` that follow each other in a file, from its row `first` on."""

    episode: int
    file: str
    first: int
    columns: dict[str, Array]

    @property
    def length(self) -> int:
        return len(self.columns["episode_index"])

    def broken(self, fps: float, *, has_video: bool) -> str:
        """Why frames are missing or come twice; nothing where they do not."""
        times, numbers = (self.columns[name][:, 0] for name in ("timestamp", "frame_index"))
        steps = np.arange(self.length)
        tolerance = max(TOLERANCE_S, float(np.spacing(np.float32(self.length / fps))))
        off = np.abs(times - times[0] - steps / fps)
        if not (off <= tolerance).all():
            frame = int(np.argmax(~(off <= tolerance)))
            says = f"{times[frame - 1] if frame else 0.0:.3f} s is followed by {times[frame]:.3f} s"
            return f"frames are missing or come twice, at frame {frame}: {says}, at {fps:g} Hz"
        gaps = np.diff(numbers)
        if (gaps > 0).all() and (gaps > 1).any():
            return f"frames are missing after frame {int(np.argmax(gaps > 1))}: frame_index leaves out numbers"
        if has_video and abs(times[0]) > tolerance:
            return f"its first frames are missing: it begins at {times[0]:.3f} s, and its video at 0"
        return ""

    def times_begin_at_0(self) -> bool:
        return bool(abs(self.columns["timestamp"][0, 0]) <= TOLERANCE_S)

    @property
    def tasks(self) -> list[int] | None:
        """In the order in which they come; None where a frame has none."""
        numbers = self.columns["task_index"][:, 0]
        return list(dict.fromkeys(map(int, numbers))) if np.isfinite(numbers).all() else None


def runs_of(root: Path, files: Iterable[str]) -> tuple[dict[int, list[Run]], dict[str, str]]:
    """By episode; and for each file that cannot be read, why."""
    found: dict[int, list[Run]] = {}
    unread: dict[str, str] = {}
    for file in files:
        try:
            for run in _of_file(root, file):
                found.setdefault(run.episode, []).append(run)
        except DatasetError as exc:
            unread[file] = str(exc)
    return found, unread


def _of_file(root: Path, file: str) -> list[Run]:
    runs: list[Run] = []
    for frames in frames_of(root, [file], COUNTED):
        _check(frames)
        if frames.before and runs:
            joined = {name: np.concatenate([runs[-1].columns[name], each]) for name, each in frames.columns.items()}
            runs[-1].columns = joined
        else:
            runs.append(Run(frames.episode, file, frames.first_row, dict(frames.columns)))
    return runs


def _check(frames: Frames) -> None:
    missing = [name for name in COUNTED if name not in frames.columns]
    if missing:
        raise DatasetError(f"{frames.file} has no column {missing[0]}; copy it anew")
