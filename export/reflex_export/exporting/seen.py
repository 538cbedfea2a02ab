"""Where the values of each axis lay in training, as the statistics of a checkpoint say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reflex_export.checkpoint import Normalizer
from reflex_export.exporting.units import Axis, Range

__all__ = ["SeenAxis", "seen_axes"]

_BOUNDS: Final = (("min", "max"), ("q01", "q99"), ("q10", "q90"))
_SPREAD_TOLERANCE: Final = 0.25
"""Of an axis' range: mean plus deviation of values inside it can lie up to 0.21 of it outside."""


@dataclass(frozen=True)
class SeenAxis:
    """One axis, and from where to where its values lay."""

    axis: Axis
    low: float
    high: float
    least_tolerance: float = 0.0
    """Of the axis' range, by which the two may lie outside although no value did."""

    @property
    def span(self) -> float:
        return self.high - self.low

    @property
    def reach(self) -> float:
        """The value that is furthest from zero."""
        return max(abs(self.low), abs(self.high))

    def fits(self, bounds: Range, tolerance: float) -> bool:
        """Whether all lies inside, give or take that much of the range."""
        margin = max(tolerance, self.least_tolerance) * (bounds[1] - bounds[0])
        return bounds[0] - margin <= self.low and self.high <= bounds[1] + margin

    def moved(self, sign: int, shift: float) -> SeenAxis:
        """The same turned over, then shifted."""
        low, high = sorted((sign * self.low + shift, sign * self.high + shift))
        return SeenAxis(self.axis, low, high, self.least_tolerance)

    def gap_to(self, other: SeenAxis) -> float:
        """What lies between the two; negative where they overlap."""
        return max(self.low, other.low) - min(self.high, other.high)

    def distance_to(self, other: SeenAxis) -> float:
        """How far the ends of the two are apart at most."""
        return max(abs(self.low - other.low), abs(self.high - other.high))


def seen_axes(normalizer: Normalizer, axes: Sequence[Axis | None]) -> list[SeenAxis | None]:
    """One for each axis; None where the axis or the statistics are unknown."""
    bounds = _bounds(normalizer)
    if bounds is None:
        return [None] * len(axes)
    lows, highs, tolerance = bounds
    seen = zip(axes, lows, highs, strict=True)
    return [None if axis is None else SeenAxis(axis, low, high, tolerance) for axis, low, high in seen]


def _bounds(normalizer: Normalizer) -> tuple[list[float], list[float], float] | None:
    """The best that there is: extremes, quantiles, or mean and deviation."""
    statistics = normalizer.statistics
    for low, high in _BOUNDS:
        if low in statistics and high in statistics:
            return statistics[low].tolist(), statistics[high].tolist(), 0.0
    if "mean" in statistics and "std" in statistics:
        mean, std = statistics["mean"], statistics["std"]
        return (mean - std).tolist(), (mean + std).tolist(), _SPREAD_TOLERANCE
    return None
