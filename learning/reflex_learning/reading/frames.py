"""The numbers of a dataset, an episode at a time; memory holds the longest episode, and of that a part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from reflex_learning.errors import DatasetError
from reflex_learning.reading.tables import Array, blocks_of, numbers_of

__all__ = ["Frames", "frames_of"]

MOST_ROWS: Final = 100_000
"""Of an episode at once: a longer one comes in parts."""
EPISODE: Final = "episode_index"


@dataclass(frozen=True, slots=True)
class Frames:
    """Rows that follow each other and have one `episode_index`."""

    file: str
    first_row: int
    """In the whole dataset, counted."""
    episode: int
    before: int
    """Rows of the same episode that came in parts before this."""
    columns: Mapping[str, Array]
    """[rows, values], by feature."""

    @property
    def length(self) -> int:
        return len(self.columns[EPISODE])

    def scalar(self, name: str) -> Array | None:
        """A column of one value a row; None where the file has none."""
        found = self.columns.get(name)
        return None if found is None else found[:, 0]


def frames_of(root: Path, files: Sequence[str], columns: Sequence[str], first_row: int = 0) -> Iterator[Frames]:
    """Over all files, in their order; `first_row` is how many rows the files before these have."""
    row = first_row
    for file in files:
        for frames in _of_file(root, file, columns, row):
            row = frames.first_row + frames.length
            yield frames


def _of_file(root: Path, file: str, columns: Sequence[str], row: int) -> Iterator[Frames]:
    held: list[dict[str, Array]] = []
    before = 0
    for piece in _pieces(root, file, columns):
        if held and piece[EPISODE][0, 0] != held[0][EPISODE][0, 0]:
            made = _joined(file, row, before, held)
            yield made
            held, row, before = [], row + made.length, 0
        held.append(piece)
        if sum(len(each[EPISODE]) for each in held) >= MOST_ROWS:
            made = _joined(file, row, before, held)
            yield made
            held, row, before = [], row + made.length, before + made.length
    if held:
        yield _joined(file, row, before, held)


def _joined(file: str, row: int, before: int, held: Sequence[Mapping[str, Array]]) -> Frames:
    columns = {name: np.concatenate([piece[name] for piece in held]) for name in held[0]}
    number = columns[EPISODE][0, 0]
    return Frames(file, row, int(number) if np.isfinite(number) else -1, before, columns)


def _pieces(root: Path, file: str, columns: Sequence[str]) -> Iterator[dict[str, Array]]:
    """Rows of one episode each, as many as a block has of it."""
    for block in blocks_of(root, file, [*dict.fromkeys([EPISODE, *columns])]):
        if not len(block):
            continue
        values = {name: _column(block, name, file) for name in block.schema.names if name in {*columns, EPISODE}}
        if EPISODE not in values:
            raise DatasetError(f"{file} has no column {EPISODE}; write it anew")
        numbers = values[EPISODE][:, 0]
        bounds = [0, *(np.flatnonzero(numbers[1:] != numbers[:-1]) + 1), len(numbers)]
        for start, end in pairwise(bounds):
            yield {name: each[start:end] for name, each in values.items()}


def _column(block: Any, name: str, file: str) -> Array:  # noqa: ANN401  # pyarrow has no types
    try:
        return numbers_of(block.column(block.schema.get_field_index(name)))
    except (DatasetError, TypeError, ValueError, NotImplementedError) as exc:
        raise DatasetError(
            f"{file}: the column {name} holds no numbers, or rows of unequal width; write it anew"
        ) from exc
