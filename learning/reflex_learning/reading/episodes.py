"""`meta/episodes`: which files hold an episode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.datasets.layout import DATA_FOLDER, EPISODES_FOLDER, VIDEOS_FOLDER, file_of
from reflex_learning.errors import DatasetError
from reflex_learning.reading.places import files_under
from reflex_learning.reading.tables import blocks_of, open_table

__all__ = ["NEEDED", "Clip", "Episode", "read_episodes", "tables_in", "video_file"]

NEEDED: Final = (
    "episode_index", "tasks", "length", "data/chunk_index", "data/file_index", "dataset_from_index",
    "dataset_to_index",
)  # fmt: skip
MOST_EPISODES: Final = 1_000_000
ROWS_AT_ONCE: Final = 1_024


@dataclass(frozen=True, slots=True)
class Clip:
    """Where the pictures of one camera lie in a video, in seconds."""

    file: str
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class Episode:
    """One row; `number` is its `episode_index`, and `to_index` the first frame after it."""

    number: int
    length: int
    from_index: int
    to_index: int
    tasks: tuple[str, ...]
    data_file: str
    clips: Mapping[str, Clip]
    table: str
    """The file that the row stands in."""


def tables_in(root: Path, folder: str) -> list[str]:
    """Those that LeRobot reads: all below the folder's own folders, sorted."""
    found = files_under(root, folder)
    return [name for name in found if name.endswith(".parquet") and name.count("/") == folder.count("/") + 2]


def read_episodes(root: Path, cameras: Sequence[str]) -> tuple[Episode, ...]:
    """All rows, in the order of the files."""
    episodes: list[Episode] = []
    for table in tables_in(root, EPISODES_FOLDER):
        episodes += _rows(root, table, cameras)
        if len(episodes) > MOST_EPISODES:
            raise DatasetError(f"{EPISODES_FOLDER} has more than {MOST_EPISODES:,} episodes; split the dataset")
    return tuple(episodes)


def _rows(root: Path, table: str, cameras: Sequence[str]) -> Iterator[Episode]:
    wanted = [*NEEDED, *(f"videos/{camera}/{part}" for camera in cameras for part in CLIP)]
    with open_table(root, table) as file:
        missing = [name for name in wanted if name not in file.schema_arrow.names]
    if missing:
        raise DatasetError(f"{table} lacks the column {missing[0]}; convert or record the dataset anew")
    for block in blocks_of(root, table, wanted, ROWS_AT_ONCE):
        for row in block.to_pylist():
            yield _episode(row, table, cameras)


CLIP: Final = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


def _episode(row: Mapping[str, Any], table: str, cameras: Sequence[str]) -> Episode:
    try:
        clips = {camera: _clip(camera, *(row[f"videos/{camera}/{part}"] for part in CLIP)) for camera in cameras}
        data = f"{DATA_FOLDER}/{file_of(int(row['data/chunk_index']), int(row['data/file_index']), '.parquet')}"
        return Episode(
            int(row["episode_index"]), int(row["length"]), int(row["dataset_from_index"]),
            int(row["dataset_to_index"]), tuple(str(task) for task in row["tasks"]), data, clips, table,
        )  # fmt: skip
    except (TypeError, ValueError, OverflowError) as exc:
        raise DatasetError(f"{table} has a row with a value missing; convert or record the dataset anew") from exc


def _clip(camera: str, chunk: object, file: object, from_s: object, to_s: object) -> Clip:
    if not isinstance(chunk, int) or not isinstance(file, int):
        raise TypeError(camera)
    return Clip(video_file(camera, chunk, file), float(from_s), float(to_s))  # type: ignore[arg-type]


def video_file(camera: str, chunk: int, number: int) -> str:
    return f"{VIDEOS_FOLDER}/{camera}/{file_of(chunk, number, '.mp4')}"
