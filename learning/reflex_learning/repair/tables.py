"""Rows that are kept, copied into a table for each episode; only the columns that count frames are written anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reflex.datasets.layout import DATA_FOLDER
from reflex_learning.reading.info import Info
from reflex_learning.reading.tables import Array, blocks_of, translated
from reflex_learning.repair.planning import Kept
from reflex_learning.writing import place_of

__all__ = ["Numbered", "write_tables"]

ROWS_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class Numbered:
    """One that is kept, and its place in the new dataset."""

    kept: Kept
    number: int
    first: int
    """Of all frames, the number of its first one."""


def _counters(numbered: Numbered, fps: float, tasks: Mapping[str, int]) -> dict[str, Array]:
    """Timestamps as well where they did not begin at 0."""
    kept, frames = numbered.kept, np.arange(numbered.kept.length)
    texts = [kept.tasks[int(number)] for number in kept.run.columns["task_index"][: kept.length, 0]]
    times = {} if kept.run.times_begin_at_0() else {"timestamp": (frames / fps).astype(np.float32)}
    return times | {
        "frame_index": frames,
        "episode_index": np.full(kept.length, numbered.number),
        "index": numbered.first + frames,
        "task_index": np.array([tasks[text] for text in texts]),
    }


def write_tables(root: Path, new: Path, info: Info, numbered: Sequence[Numbered], tasks: Mapping[str, int]) -> None:
    """Each old table is read once; columns that `meta/info.json` does not know are left out."""
    names = [feature.name for feature in info.features.values() if not feature.is_video]
    by_file: dict[str, list[Numbered]] = {}
    for each in sorted(numbered, key=lambda each: each.kept.run.first):
        by_file.setdefault(each.kept.run.file, []).append(each)
    for file, lying in by_file.items():
        spans = [(each.kept.run.first, each.kept.run.first + each.kept.length) for each in lying]
        with translated(file):
            for each, pieces in zip(lying, _cut(blocks_of(root, file, names, ROWS_AT_ONCE), spans), strict=True):
                _write(new, each, pieces, _counters(each, info.fps, tasks))


def _cut(blocks: Iterable[Any], spans: Sequence[tuple[int, int]]) -> Iterator[list[Any]]:
    """The pieces of each span of rows; spans ascend, and none touches another."""
    held: list[Any] = []
    place = which = 0
    for block in blocks:
        while which < len(spans) and spans[which][0] < place + len(block):
            first, end = max(0, spans[which][0] - place), spans[which][1] - place
            held.append(block.slice(first, min(len(block), end) - first))
            if end > len(block):
                break
            yield held
            held, which = [], which + 1
        place += len(block)


def _write(new: Path, each: Numbered, pieces: Sequence[Any], counters: Mapping[str, Array]) -> None:
    file = new / DATA_FOLDER / place_of(each.number, ".parquet")
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_batches(pieces)
    for name, values in counters.items():
        table = _with(table, name, values)
    pq.write_table(table, file, compression="snappy")


def _with(table: Any, name: str, values: Array) -> Any:  # noqa: ANN401  # pyarrow has no types
    place = table.schema.get_field_index(name)
    if place < 0:
        return table.append_column(name, pa.array(values))
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values).cast(field.type))
