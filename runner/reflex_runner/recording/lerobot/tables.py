"""The tables in `meta/`: one row for each episode, in a file of its own, and the tasks."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reflex.datasets.layout import FILES_A_CHUNK, TASKS_SCHEMA
from reflex.datasets.layout import file_of as file_in
from reflex.datasets.stats import Stats
from reflex.durable_files import replace_file

__all__ = ["EpisodeRow", "file_of", "read_episodes", "write_episode", "write_tasks"]

RECORDED_AS: Final = "reflex_episode"


@dataclass(frozen=True)
class EpisodeRow:
    """What `meta/episodes` says of one episode."""

    number: int
    recorded_as: int
    """Its number in the recording, where an episode without frames counts as well."""
    task: str
    length: int
    first_index: int
    """Of its first frame, in the whole dataset."""
    seconds: float
    videos: tuple[str, ...]
    stats: Mapping[str, Stats]


def file_of(number: int, suffix: str) -> str:
    """Every episode has a file of its own: `chunk-000/file-012.parquet`."""
    return file_in(*divmod(number, FILES_A_CHUNK), suffix)


def write_episode(file: Path, row: EpisodeRow) -> None:
    """Give the row its file, whole and on disk: with it the episode belongs to the dataset."""
    columns = {**_columns(row), **_stats_columns(row.stats)}
    table = pa.table({name: pa.array([value], kind) for name, (value, kind) in columns.items()})
    _write(file, table)


def write_tasks(file: Path, tasks: Sequence[str]) -> None:
    """Row i is task i; the text is what pandas calls the index."""
    schema = pa.schema([("task_index", pa.int64()), ("task", pa.string())], metadata=dict(TASKS_SCHEMA))
    _write(file, pa.table([pa.array(range(len(tasks)), pa.int64()), pa.array(tasks, pa.string())], schema=schema))


def read_episodes(folder: Path) -> Iterator[EpisodeRow]:
    """The rows of a dataset of ours, in their order."""
    for file in sorted(folder.glob("chunk-*/file-*.parquet")):
        yield _row(file)


def _row(file: Path) -> EpisodeRow:
    told = pq.read_table(file).to_pylist()[0]
    names = dict.fromkeys(name.split("/")[1] for name in told if name.startswith("stats/"))
    stats = {
        name: {key.split("/")[2]: np.array(value) for key, value in told.items() if key.startswith(f"stats/{name}/")}
        for name in names
    }
    videos = tuple(name.split("/")[1] for name in told if name.endswith("/to_timestamp"))
    return EpisodeRow(
        told["episode_index"], told[RECORDED_AS], told["tasks"][0], told["length"], told["dataset_from_index"],
        max((told[f"videos/{name}/to_timestamp"] for name in videos), default=0.0), videos, stats,
    )  # fmt: skip


def _columns(row: EpisodeRow) -> dict[str, tuple[Any, Any]]:
    chunk, file = divmod(row.number, FILES_A_CHUNK)
    whole = pa.int64()
    columns: dict[str, tuple[Any, Any]] = {
        "episode_index": (row.number, whole),
        RECORDED_AS: (row.recorded_as, whole),
        "tasks": ([row.task], pa.list_(pa.string())),
        "length": (row.length, whole),
        "data/chunk_index": (chunk, whole),
        "data/file_index": (file, whole),
        "dataset_from_index": (row.first_index, whole),
        "dataset_to_index": (row.first_index + row.length, whole),
    }
    for name in row.videos:
        columns |= {
            f"videos/{name}/chunk_index": (chunk, whole),
            f"videos/{name}/file_index": (file, whole),
            f"videos/{name}/from_timestamp": (0.0, pa.float64()),
            f"videos/{name}/to_timestamp": (row.seconds, pa.float64()),
        }
    return columns | {"meta/episodes/chunk_index": (chunk, whole), "meta/episodes/file_index": (file, whole)}


def _stats_columns(stats: Mapping[str, Stats]) -> dict[str, tuple[Any, Any]]:
    columns: dict[str, tuple[Any, Any]] = {}
    for feature, of_feature in stats.items():
        for name, values in of_feature.items():
            kind = pa.int64() if name == "count" else pa.float64()
            for _ in range(values.ndim):
                kind = pa.list_(kind)
            columns[f"stats/{feature}/{name}"] = (values.tolist(), kind)
    return columns


def _write(file: Path, table: Any) -> None:  # noqa: ANN401  # pyarrow has no types
    content = io.BytesIO()
    pq.write_table(table, content, compression="snappy")
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, content.getvalue())
