"""What a trial's course comes to, in figures that do not depend on the units of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_analysis.motion.arm import Vector
from reflex_analysis.motion.loop import Course

__all__ = ["Figures", "measure"]

Rows = npt.NDArray[np.float64]

KINK_STEPS: Final = 10
"""A chunk that is bent to begin where the one before ends may jump a little later instead."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One trial. `range` is the length of an axis' range: all that moves is told as a share of it."""

    jerk_rms: float
    """Of the arm's positions, in ranges per second cubed, over all axes."""
    jerk_p99: float
    seams: int
    """Where one chunk followed another."""
    discontinuity_mean: float
    """Percent of the range: of each seam the axis with the largest excess (see `Seam`), over all seams."""
    discontinuity_max: float
    kink_mean: float
    """Percent of the range: the largest change from one step to the next, from each seam on over `KINK_STEPS`."""
    pauses: int
    longest_pause: int
    """Control periods in a row without an action."""
    tracking_rms: float
    """Percent of the range between command and position, over all axes."""
    requests_per_s: float
    late: int
    refused: int
    guided: int
    """Answers that continue the chunk before them, as the server says."""
    corrected: int
    """Answers that a correction head changed, as the server says."""
    delay_median: float
    """Control periods between question and answer."""
    delay_max: int
    server_ms_median: float
    overruns: int


def measure(course: Course, ranges: Vector, control_hz: float) -> Figures:
    """The figures of a course that has at least one command; `ranges` is the length of each axis' range."""
    commands, positions = np.stack(course.commands) / ranges, np.stack(course.positions) / ranges
    jerk = np.abs(np.diff(positions, n=3, axis=0)) * control_hz**3
    seams = np.array([float(np.max(seam.excess / ranges)) * 100.0 for seam in course.seams])
    pauses = [len(list(run)) for is_held, run in groupby(course.is_held) if is_held]
    return Figures(
        jerk_rms=_rms(jerk),
        jerk_p99=float(np.percentile(jerk, 99)) if jerk.size else 0.0,
        seams=len(seams),
        discontinuity_mean=_or_zero(np.mean, seams),
        discontinuity_max=_or_zero(np.max, seams),
        kink_mean=_or_zero(np.mean, _kinks(commands, [seam.tick for seam in course.seams])),
        pauses=len(pauses),
        longest_pause=max(pauses, default=0),
        tracking_rms=_rms(commands - positions) * 100.0,
        requests_per_s=course.asked / (len(commands) / control_hz),
        late=course.late,
        refused=sum(course.refusals.values()),
        guided=course.guided,
        corrected=course.corrected,
        delay_median=_or_zero(np.median, course.delays),
        delay_max=max(course.delays, default=0),
        server_ms_median=_or_zero(np.median, course.server_ms),
        overruns=course.overruns,
    )


def _kinks(commands: Rows, seams: Sequence[int]) -> list[float]:
    bends = np.abs(np.diff(commands, n=2, axis=0)) * 100.0  # row i is the change at command i + 1
    windows = (bends[max(0, tick - 2) : tick + KINK_STEPS] for tick in seams)
    return [float(np.max(window)) for window in windows if window.size]


def _rms(values: Rows) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _or_zero(measured: Any, values: Sequence[float] | Rows) -> float:  # noqa: ANN401 - one of numpy's reductions
    return float(measured(values)) if len(values) else 0.0
