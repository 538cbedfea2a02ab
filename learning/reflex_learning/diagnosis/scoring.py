"""How far chunks are from what was recorded, and when one way of asking is better than another beyond chance.

The error of a frame is in spreads: differences over the standard deviation of the recorded actions of their axis, of
which none counts more than three, averaged over the chunk's steps and axes. Of several frames it is the mean that
counts: where a policy mostly goes by its state, a fault of the pictures shows in some of the frames alone, and a median
sees none of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST", "Evidence", "evidence_of", "frame_errors", "profile", "scale_of", "signed_rank"]

Array = npt.NDArray[np.float64]

LARGEST: Final = 3.0
"""A difference of one value, in spreads, that counts as no larger."""
SMALLEST_SHARE: Final = 0.05
"""Of the median axis' spread: an axis that hardly moves has at least this, or its noise would be all that counts."""
COLLAPSED: Final = 0.8
"""Of the error before: what is left is at most so much. The rest is the policy's own, which no hypothesis explains."""
CHANCE: Final = 0.001
"""That any of the hypotheses tested were called better though it is not."""
ALIKE: Final = 0.85
"""Of two explanations the better one leaves so much of what the other does: then the commoner one is told."""
APART: Final = 0.01
"""Unless the better one is it beyond this chance. Mirrored pictures, say, look like an arm that turns the other way."""


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
    """Of the same frames, asked in two ways. Errors are the mean of the frames."""

    before: float
    after: float
    better: int
    frames: int
    by_chance: float = 1.0
    """That frames are so much better when better and worse are as likely."""

    @property
    def left(self) -> float:
        """Share of the error that is left."""
        return self.after / self.before if self.before > 0 else 1.0

    def is_collapse(self, tested: int) -> bool:
        """Whether one of so many hypotheses explains the error."""
        return self.frames > 0 and self.left <= COLLAPSED and self.by_chance * max(1, tested) <= CHANCE

    @property
    def is_alike(self) -> bool:
        """Whether both ways explain as much, for all that the frames can tell."""
        return self.left >= ALIKE and self.by_chance > APART


def evidence_of(before: Array, after: Array) -> Evidence:
    """Paired by frame; those without a value in either are left out."""
    both = np.isfinite(before) & np.isfinite(after)
    if not both.any():
        return Evidence(0.0, 0.0, 0, 0)
    first, second = before[both], after[both]
    better, chance = int((second < first).sum()), signed_rank(first - second)
    return Evidence(float(first.mean()), float(second.mean()), better, len(first), chance)


def signed_rank(gains: Array) -> float:
    """Wilcoxon's test, exactly: the chance of gains like these, or greater ones, when each may as well be a loss.

    A gain counts by its rank among all of them, so that many frames in which hardly anything changes do not hide
    those in which it matters, as they do where better and worse are merely counted.
    """
    moved = gains[gains != 0]
    _, place, many = np.unique(np.abs(moved), return_inverse=True, return_counts=True)
    ranks = (2 * np.cumsum(many) - many + 1)[place]  # twice the mean rank of equal ones: whole numbers
    chances = np.ones(1)
    for rank in ranks:
        longer = np.zeros(len(chances) + int(rank))
        longer[: len(chances)] += chances / 2
        longer[int(rank) :] += chances / 2
        chances = longer
    return min(1.0, float(chances[int(ranks[moved > 0].sum()) :].sum()))
