"""Where the axis of a chart has its marks, and how its numbers are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Axis", "axis_over", "figure_of"]

ROUND: Final = (1.0, 2.0, 5.0, 10.0)
WIDE: Final = 30.0
"""A largest value so many times the smallest is shown by decades, or all but the beginning of a loss is flat."""
NEARLY: Final = 1e-9
LEAST: Final = 1e-200
"""Below it, quotients of numbers lose their digits."""


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, both drawn, with a mark at each of `ticks`."""

    low: float
    high: float
    ticks: Sequence[float]
    is_log: bool = False

    def share(self, value: float) -> float:
        """How far up it lies, from 0 to 1."""
        if self.is_log:
            least = math.log(self.low)
            return (math.log(value) - least) / (math.log(self.high) - least)
        return (value - self.low) / (self.high - self.low)


def axis_over(low: float, high: float, marks: int, *, may_log: bool = False) -> Axis:
    """An axis that holds both, with about so many marks at round numbers."""
    if may_log and low > LEAST and high / low >= WIDE:
        return _decades(low, high, marks)
    if not high - low > max(abs(low) * NEARLY, abs(high) * NEARLY, LEAST):
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    step = _round_step((high - low) / marks)
    first = math.ceil(low / step - NEARLY)
    last = math.floor(high / step + NEARLY)
    return Axis(low, high, [step * index for index in range(first, last + 1)])


def figure_of(value: object) -> str:
    """Four digits of a number; a dash for everything that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "\u2014"
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _decades(low: float, high: float, marks: int) -> Axis:
    """Powers of ten; of few of them their doubles and halves, too."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((last - first) / marks))
    within = ROUND[:3] if last - first < marks - 1 else ROUND[:1]
    ticks = [10.0**exponent * each for exponent in range(first, last + 1, every) for each in within]
    return Axis(low, high, [tick for tick in ticks if low <= tick <= high], is_log=True)


def _round_step(least: float) -> float:
    """The next of 1, 2, 5 and 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * each for each in ROUND if power * each >= least * (1 - NEARLY))
