"""How many denoising steps the next chunk of an episode takes, by how much the velocity changed in the last ones.

Flow matching goes from noise (t = 1) to actions (t = 0) along a velocity v(t) that hardly changes for an easy chunk. A
step of Euler's method holds it for 1/n of the way, and the denoise graph says for each step k by which share it had
changed since the one before:

    change[k] = rms(v[k] - v[k-1]) / rms(v[k]),  change[0] = 0       over the real action channels
    bend      = n * mean(change[1:])                                 of the way, whatever n is
    miss(n)   = bend / 2 * (1/n - 1/N)                               of n steps against the full N, a share of the way

The number to take is the smallest whose miss is tolerated. More are taken at once when they are needed; fewer only
after several answers in a row in which they would have done with room to spare, and one variant at a time. What is not
known takes all steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["CALM_ANSWERS", "DEFAULT_TOLERANCE", "LEAST_STEPS", "MARGIN", "StepRule", "StepState", "bend_of"]

LEAST_STEPS: Final = 2
"""A variant of one step sees no change, and would never say that it no longer does."""
CALM_ANSWERS: Final = 3
MARGIN: Final = 0.7
"""Fewer steps must miss by no more than this share of what is tolerated, so that they are not left again at once."""
DEFAULT_TOLERANCE: Final = 0.03
"""Errors near 2 % of an axis' range, at the worst, in the trials of docs/motion.md#adaptive-steps."""


@dataclass(frozen=True, slots=True)
class StepState:
    """Of one episode: the steps to take next, and for how many answers fewer would have done."""

    steps: int
    calm: int = 0


@dataclass(frozen=True, slots=True)
class StepRule:
    """`steps` are the numbers to choose from, the full one first, each smaller than the one before."""

    steps: tuple[int, ...]
    tolerance: float = DEFAULT_TOLERANCE

    @classmethod
    def over(cls, counts: Iterable[int], tolerance: float) -> StepRule:
        """Of what there is: in order, without those that are too few to tell anything."""
        ordered = sorted(set(counts), reverse=True)
        return cls((ordered[0], *(count for count in ordered[1:] if count >= LEAST_STEPS)), tolerance)

    @property
    def first(self) -> StepState:
        """Of an episode that begins."""
        return StepState(self.steps[0])

    def after(self, state: StepState, change: Sequence[float] | None) -> StepState:
        """When an answer reported `change`; None where it reported none."""
        bend = None if change is None else bend_of(change)
        if bend is None:
            return self.first
        needed = self.needed(bend)
        if needed >= state.steps:
            return StepState(needed)
        fewer = max(count for count in self.steps if count < state.steps)
        if self.miss(bend, fewer) > MARGIN * self.tolerance:
            return StepState(state.steps)
        is_over = state.calm + 1 >= CALM_ANSWERS
        return StepState(fewer) if is_over else StepState(state.steps, state.calm + 1)

    def needed(self, bend: float) -> int:
        """The smallest number whose miss is tolerated; the full one misses nothing."""
        return min(count for count in self.steps if self.miss(bend, count) <= self.tolerance or count == self.steps[0])

    def miss(self, bend: float, count: int) -> float:
        """What is expected of so many steps, as a share of the way from the noise to the actions."""
        return bend / 2.0 * (1.0 / count - 1.0 / self.steps[0])


def bend_of(change: Sequence[float]) -> float | None:
    """How much the velocity changes over the whole way; None for a single step, or what is no number."""
    later = change[1:]
    if not later or not all(math.isfinite(each) and each >= 0.0 for each in later):
        return None
    return len(change) * math.fsum(later) / len(later)
