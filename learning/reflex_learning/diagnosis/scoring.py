"""How far chunks are from what was recorded, and when one way of asking is better than another beyond chance.

The error of a frame is in spreads: differences over the standard deviation of the recorded actions of their axis, of
which none counts more than three, averaged over the chunk's steps and axes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST", "Evidence", "evidence_of", "frame_errors", "profile", "scale_of"]

Array = npt.NDArray[np.float64]

LARGEST: Final = 3.0
"""A difference of one value, in spreads, that counts as no larger."""
SMALLEST_SHARE: Final = 0.05
"""Of the median axis' spread: an axis that hardly moves has at least this, or its noise would be all that counts."""
COLLAPSED: Final = 0.7
"""Of the error before: what is left is at most so much."""
BETTER_SHARE: Final = 0.75
CHANCE: Final = 0.01
"""That any of the hypotheses tested were called better though it is not."""


def scale_of(actions: Sequence[Array]) -> Array:
    """The spread of each axis over recorded episodes."""
    spread: Array = np.concatenate(actions).std(0)
    floor = SMALLEST_SHARE * float(np.median(spread)) or 1.0
    return np.maximum(spread, floor)


def profile(chunks: Array, recorded: Array, scale: Array) -> Array:
    """[frames, steps, axes] of both to errors of the same shape; NaN where nothing was recorded."""
    apart = np.minimum(np.abs(chunks - recorded) / scale, LARGEST)
    return np.where(np.isnan(recorded), np.nan, np.where(np.isnan(chunks), LARGEST, apart))


def frame_errors(chunks: Array, recorded: Array, scale: Array) -> Array:
    """[frames]; NaN for a frame round which nothing was recorded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a mean of nothing is the NaN that is meant
        errors: Array = np.nanmean(profile(chunks, recorded, scale), axis=(1, 2))
    return errors


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of the same frames, asked in two ways."""

    before: float
    after: float
    better: int
    frames: int

    @property
    def left(self) -> float:
        """Share of the error that is left."""
        return self.after / self.before if self.before > 0 else 1.0

    @property
    def by_chance(self) -> float:
        """That so many frames or more are better when better and worse are as likely (the sign test)."""
        ways = sum(math.comb(self.frames, k) for k in range(self.better, self.frames + 1))
        return float(ways / 2**self.frames)

    def is_collapse(self, tested: int) -> bool:
        """Whether one of so many hypotheses explains the error."""
        enough = self.frames > 0 and self.better >= BETTER_SHARE * self.frames
        return enough and self.left <= COLLAPSED and self.by_chance * max(1, tested) <= CHANCE


def evidence_of(before: Array, after: Array) -> Evidence:
    """Paired by frame; those without a value in either are left out."""
    both = np.isfinite(before) & np.isfinite(after)
    if not both.any():
        return Evidence(0.0, 0.0, 0, 0)
    first, second = before[both], after[both]
    return Evidence(float(np.median(first)), float(np.median(second)), int((second < first).sum()), int(both.sum()))
