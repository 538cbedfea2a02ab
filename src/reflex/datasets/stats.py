"""Statistics of a dataset: exact of numbers, of pictures exact over the frames that are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["PictureStats", "Stats", "merged", "numbers_stats", "quantiles_of"]

QUANTILES: Final[Mapping[str, float]] = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
LEVELS: Final = 256
CHANNELS: Final = 3
LOOK_EVERY: Final = 10
LONGEST_SIDE: Final = 150
Stats = dict[str, npt.NDArray[Any]]
"""By name min, max, mean, std, count and the quantiles: of one value per axis, of pictures [3, 1, 1] in 0..1."""
Array = npt.NDArray[Any]


def numbers_stats(values: Array) -> Stats:
    """Of [frames, axes]."""
    exact = values.astype(np.float64)
    return {
        "min": exact.min(0),
        "max": exact.max(0),
        "mean": exact.mean(0),
        "std": exact.std(0),
        "count": np.array([len(exact)]),
        **quantiles_of(exact),
    }


def quantiles_of(values: Array) -> Stats:
    found = np.quantile(values.astype(np.float64), list(QUANTILES.values()), axis=0)
    return dict(zip(QUANTILES, found, strict=True))


class PictureStats:
    """Of the pictures of one camera in one episode: every tenth is looked at, and every n-th of its pixels."""

    def __init__(self) -> None:
        self._levels = np.zeros((CHANNELS, LEVELS), np.int64)
        self._looked = 0
        self._seen = 0

    def add(self, pixels: npt.NDArray[np.uint8]) -> None:
        """The next frame, uint8 [height, width, 3]."""
        if self._seen % LOOK_EVERY == 0:
            stride = max(1, max(pixels.shape) // LONGEST_SIDE)
            few = pixels[::stride, ::stride]
            for channel in range(CHANNELS):
                self._levels[channel] += np.bincount(few[..., channel].ravel(), minlength=LEVELS)
            self._looked += 1
        self._seen += 1

    def stats(self) -> Stats:
        values = np.arange(LEVELS) / (LEVELS - 1)
        weights = self._levels / self._levels.sum(1, keepdims=True)
        mean = weights @ values
        shares = np.cumsum(weights, 1)
        found = {
            "min": np.array([values[row > 0].min() for row in weights]),
            "max": np.array([values[row > 0].max() for row in weights]),
            "mean": mean,
            "std": np.sqrt(np.maximum(weights @ values**2 - mean**2, 0.0)),
            **{name: values[np.argmax(shares >= share - 1e-12, 1)] for name, share in QUANTILES.items()},
        }
        return {name: each.reshape(CHANNELS, 1, 1) for name, each in found.items()} | {
            "count": np.array([self._looked])
        }


def merged(parts: Sequence[Stats]) -> Stats:
    """Of several episodes: exact, but for the quantiles, which are the mean of theirs weighted by their frames."""
    counts = np.array([part["count"][0] for part in parts], np.float64)
    weights = (counts / counts.sum()).reshape(-1, *[1] * parts[0]["mean"].ndim)
    stacked = {name: np.stack([part[name] for part in parts]) for name in parts[0] if name != "count"}
    mean = (weights * stacked["mean"]).sum(0)
    variance = (weights * (stacked["std"] ** 2 + (stacked["mean"] - mean) ** 2)).sum(0)
    return {
        "min": stacked["min"].min(0),
        "max": stacked["max"].max(0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([int(counts.sum())]),
        **{name: (weights * stacked[name]).sum(0) for name in QUANTILES},
    }
