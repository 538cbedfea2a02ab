"""Statistics of a dataset, from its data: of numbers exact, of pictures over the frames that are looked at.

`reflex.datasets.stats` says what they are, and writes the same into recordings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from reflex.datasets.layout import DATA_FOLDER, STATS_FILE
from reflex.datasets.stats import QUANTILES, PictureStats, Stats, merged, numbers_stats, quantiles_of
from reflex.durable_files import replace_file
from reflex_learning.errors import DatasetError
from reflex_learning.reading.dataset import Dataset, open_dataset
from reflex_learning.reading.episodes import tables_in
from reflex_learning.reading.frames import frames_of
from reflex_learning.reading.info import Feature
from reflex_learning.reading.tables import Array
from reflex_learning.reading.whole_pictures import pictures_in_colour

__all__ = ["compute_stats", "told", "write_stats"]

MOST_FRAMES: Final = 2_000_000
"""Beyond these the quantiles are the mean of the episodes', weighted by their frames: they would not fit memory."""
Advance = Callable[[int, int], None]


def compute_stats(root: Path, advance: Advance | None = None) -> dict[str, Stats]:
    """Of every feature that has any, by its name; `DatasetError` for what cannot be read."""
    dataset = open_dataset(root)
    total = dataset.frames * (1 + len(dataset.info.cameras))
    tell = _teller(advance, total)
    numbers = _of_numbers(dataset, tell)
    pictures = {feature.name: _of_pictures(dataset, feature, tell) for feature in dataset.info.cameras}
    return {name: (numbers | pictures)[name] for name in dataset.info.features if name in numbers | pictures}


def _teller(advance: Advance | None, total: int) -> Callable[[int], None]:
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        if advance is not None:
            advance(min(done, total), total)

    return tell


def _of_numbers(dataset: Dataset, tell: Callable[[int], None]) -> dict[str, Stats]:
    names = [feature.name for feature in dataset.info.numeric]
    parts: dict[str, list[Stats]] = {}
    for frames in frames_of(dataset.root, tables_in(dataset.root, DATA_FOLDER), names):
        for name in [name for name in names if name not in frames.columns]:
            raise DatasetError(f"{frames.file} has no column {name}; see: reflex datasets validate")
        for name, values in frames.columns.items():
            parts.setdefault(name, []).append(_of(name, values))
        tell(frames.length)
    found = {name: merged(each) for name, each in parts.items() if name in names}
    if dataset.frames <= MOST_FRAMES:
        for name in found:
            found[name] |= quantiles_of(_column(dataset, name))
    return found


def _of(name: str, values: Array) -> Stats:
    if not np.isfinite(values).all():
        raise DatasetError(f"{name} holds a NaN or an infinity, which has no statistics; see: reflex datasets validate")
    return numbers_stats(values)


def _column(dataset: Dataset, name: str) -> Array:
    files = tables_in(dataset.root, DATA_FOLDER)
    return np.concatenate([frames.columns[name] for frames in frames_of(dataset.root, files, [name])])


def _of_pictures(dataset: Dataset, feature: Feature, tell: Callable[[int], None]) -> Stats:
    stats, seen = PictureStats(), 0
    for pixels in pictures_in_colour(dataset, feature):
        stats.add(pixels)
        seen += 1
        tell(1)
    if not seen:
        raise DatasetError(f"{feature.name} shows nothing, which has no statistics; see: reflex datasets validate")
    return stats.stats()


def told(stats: Mapping[str, Stats]) -> dict[str, Any]:
    """As `meta/stats.json` has them."""
    order = ("min", "max", "mean", "std", "count", *QUANTILES)
    return {name: {key: of[key].tolist() for key in order} for name, of in stats.items()}


def write_stats(root: Path, stats: Mapping[str, Stats]) -> None:
    """In place of those that are there, whole or not at all."""
    replace_file(root / STATS_FILE, json.dumps(told(stats), indent=4).encode())
