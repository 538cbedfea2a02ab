"""What is counted over all frames: little for an episode, nothing for a frame but whether the robot moved."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_learning.reading.frames import Frames
from reflex_learning.reading.tables import Array
from reflex_learning.validation.survey import Survey

__all__ = ["LAGS", "Course", "Run", "Tally", "Whole"]

LAGS: Final = (-3, -2, -1, 0, 1, 2, 3)
"""Frames by which a state may follow its action; less than 0: it comes before."""
STILL: Final = 0.002
"""Of an axis' range in an episode: less is no movement."""
STATE, ACTION = "observation.state", "action"


@dataclass(slots=True)
class Course:
    """One feature over all frames that are finite, added up as Welford does."""

    count: int
    mean: Array
    squares: Array
    low: Array
    high: Array
    at_low: Array
    at_high: Array
    """How often an axis stood exactly at its least, and at its greatest."""

    @classmethod
    def of(cls, values: Array) -> Course:
        low, high = values.min(0), values.max(0)
        mean = values.mean(0)
        squares = ((values - mean) ** 2).sum(0)
        return cls(len(values), mean, squares, low, high, (values == low).sum(0), (values == high).sum(0))

    def add(self, other: Course) -> None:
        count = self.count + other.count
        step = other.mean - self.mean
        self.squares = self.squares + other.squares + step**2 * self.count * other.count / count
        self.mean = self.mean + step * other.count / count
        self.at_low = _touching(self.low, self.at_low, other.low, other.at_low, np.less)
        self.at_high = _touching(self.high, self.at_high, other.high, other.at_high, np.greater)
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        self.count = count

    @property
    def std(self) -> Array:
        return np.asarray(np.sqrt(self.squares / self.count))


def _touching(mine: Array, my_count: Array, other: Array, count: Array, beyond: np.ufunc) -> Array:
    kept = np.where(beyond(other, mine), 0, my_count)
    return np.asarray(kept + np.where(beyond(mine, other), 0, count))


@dataclass(slots=True)
class Run:
    """Rows of one `episode_index` that follow each other."""

    episode: int
    file: str
    first_row: int
    length: int
    tasks: set[int]
    digest: bytes
    moved: npt.NDArray[np.bool_] | None
    """Whether the robot moved between a frame and the one before it; None without a state."""


@dataclass
class Tally:
    courses: dict[str, Course] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    lag_errors: Array = field(default_factory=lambda: np.zeros(len(LAGS)))
    lag_frames: int = 0
    periods_s: list[float] = field(default_factory=list)
    """Of each run: the median time between two measurements, where they are told."""
    brightness: dict[tuple[str, int], Array] = field(default_factory=dict)
    """By camera and episode: its mean picture."""
    shown: dict[tuple[str, int], bytes] = field(default_factory=dict)
    """By camera and episode: a digest of all of its pictures."""
    not_finite: set[str] = field(default_factory=set)
    """Features of which some frames were left out."""
    unread: list[str] = field(default_factory=list)
    """Tables whose frames could not be read to their end: what counts frames says nothing then."""

    def add(self, frames: Frames) -> None:
        for name, values in frames.columns.items():
            finite = values[np.isfinite(values).all(axis=1)].astype(np.float64)
            if len(finite) < len(values):
                self.not_finite.add(name)
            if len(finite):
                self._count(name, Course.of(finite))
        self._add_run(frames)
        self._add_lags(frames)
        measured = frames.scalar("reflex.measured_unix_s")
        if measured is not None and len(measured) > 1:
            self.periods_s.append(float(np.median(np.diff(measured))))

    def _count(self, name: str, course: Course) -> None:
        known = self.courses.get(name)
        if known is None:
            self.courses[name] = course
        elif known.mean.shape == course.mean.shape:
            known.add(course)

    def _add_run(self, frames: Frames) -> None:
        numbers = frames.scalar("task_index")
        tasks = set() if numbers is None else {int(number) for number in np.unique(numbers[np.isfinite(numbers)])}
        digest, moved = _digest(frames), _moved(frames.columns.get(STATE))
        if frames.before and self.runs:
            run = self.runs[-1]
            run.length, run.tasks, run.digest = run.length + frames.length, run.tasks | tasks, run.digest + digest
            run.moved = None if moved is None or run.moved is None else np.concatenate([run.moved, moved])
        else:
            self.runs.append(Run(frames.episode, frames.file, frames.first_row, frames.length, tasks, digest, moved))

    def _add_lags(self, frames: Frames) -> None:
        state, action = frames.columns.get(STATE), frames.columns.get(ACTION)
        most = max(LAGS)
        if state is None or action is None or state.shape != action.shape or len(state) <= 4 * most:
            return
        if not (np.isfinite(state).all() and np.isfinite(action).all()):
            return
        scale = state.std(0) + 1e-9
        inner = action[most:-most]
        for place, lag in enumerate(LAGS):
            later = state[most + lag : len(state) - most + lag]
            self.lag_errors[place] += float((np.abs(inner - later) / scale).mean(1).sum())
        self.lag_frames += len(inner)


@dataclass(frozen=True, slots=True)
class Whole:
    """A dataset after all of its frames were seen."""

    survey: Survey
    tally: Tally

    @property
    def is_counted(self) -> bool:
        """Whether all frames were seen."""
        return self.survey.has_all_tables and not self.tally.unread

    @property
    def vectors(self) -> Mapping[str, Course]:
        """State and action, where there are any."""
        return {name: self.tally.courses[name] for name in (STATE, ACTION) if name in self.tally.courses}

    def labels(self, name: str) -> tuple[str, ...]:
        feature = self.survey.info.features.get(name)
        return () if feature is None else feature.labels


def _digest(frames: Frames) -> bytes:
    taken = hashlib.sha256()
    for name in (STATE, ACTION):
        if name in frames.columns:
            taken.update(np.ascontiguousarray(frames.columns[name]).tobytes())
    return taken.digest()[:16]


def _moved(state: Array | None) -> npt.NDArray[np.bool_] | None:
    if state is None or not np.isfinite(state).all():
        return None
    reach = np.ptp(state, axis=0) * STILL
    steps = np.abs(np.diff(state, axis=0, prepend=state[:1]))
    return np.asarray((steps > np.maximum(reach, 1e-9)).any(axis=1))
