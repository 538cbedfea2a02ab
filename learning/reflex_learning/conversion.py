"""A dataset of version 2.0 or 2.1 as one of 3.0: tables and videos as they are, under their new names.

    data, videos  ->  meta/episodes  ->  tasks, info.json, stats.json  ->  the folder gets its name

Nothing is encoded anew and no row is changed. Killed at any moment, there is no dataset of the new name.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from reflex.datasets.layout import (
    CODEBASE_VERSION,
    DATA_FOLDER,
    DATA_FORMAT,
    EPISODES_FOLDER,
    FILES_A_CHUNK,
    INFO_FILE,
    TASKS_FILE,
    TASKS_SCHEMA,
    VIDEO_FORMAT,
    VIDEOS_FOLDER,
    file_of,
)
from reflex_learning.errors import DatasetError
from reflex_learning.reading.info import Feature
from reflex_learning.reading.places import regular_file
from reflex_learning.reading.tables import open_table
from reflex_learning.reading.version_2 import OldDataset, OldEpisode, open_old
from reflex_learning.statistics import compute_stats, write_stats

__all__ = ["Advance", "convert"]

ROWS_A_FILE: Final = 1_000
GONE: Final = ("total_chunks", "total_videos")
Advance = Callable[[int, int], None]


def convert(root: Path, out: Path, advance: Advance | None = None) -> Path:
    """Write the dataset at `out`, which must not be there yet; `DatasetError` for what cannot be converted."""
    old = open_old(root)
    if out.exists() or out.is_symlink():
        raise DatasetError(f"{out} is there already; give a folder that is not")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(old, partial, advance)
        partial.rename(out)
    except OSError as exc:
        raise DatasetError(f"{out} could not be written ({exc.strerror}); make room, or give another folder") from exc
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _write(old: OldDataset, new: Path, advance: Advance | None) -> None:
    for episode in old.episodes:
        _check_rows(old, episode)
        _copy(old.root, old.data_file(episode.number), new / DATA_FOLDER / _place(episode.number, ".parquet"))
        for camera in old.info.videos:
            source = old.video_file(camera.name, episode.number)
            _copy(old.root, source, new / VIDEOS_FOLDER / camera.name / _place(episode.number, ".mp4"))
    _write_rows(old, new)
    _write_tasks(old, new)
    (new / INFO_FILE).write_text(json.dumps(_info(old), indent=4), encoding="utf-8")
    write_stats(new, compute_stats(new, advance))


def _check_rows(old: OldDataset, episode: OldEpisode) -> None:
    file = old.data_file(episode.number)
    with open_table(old.root, file) as table:
        if table.metadata.num_rows != episode.length:
            says = f"{file} has {table.metadata.num_rows} rows, and {episode.length} by meta/episodes.jsonl"
            raise DatasetError(f"{says}; copy the dataset anew")


def _place(number: int, suffix: str) -> str:
    return file_of(*divmod(number, FILES_A_CHUNK), suffix)


def _copy(root: Path, source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(regular_file(root, source), target)


def _write_rows(old: OldDataset, new: Path) -> None:
    rows = list(_rows(old))
    for number, start in enumerate(range(0, len(rows), ROWS_A_FILE)):
        file = new / EPISODES_FOLDER / file_of(0, number, ".parquet")
        file.parent.mkdir(parents=True, exist_ok=True)
        few = [
            row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": number}
            for row in rows[start:][:ROWS_A_FILE]
        ]
        pq.write_table(pa.Table.from_pylist(few), file, compression="snappy")


def _rows(old: OldDataset) -> Iterator[dict[str, Any]]:
    first = 0
    common = _common_stats(old)
    for episode in old.episodes:
        chunk, file = divmod(episode.number, FILES_A_CHUNK)
        row: dict[str, Any] = {
            "episode_index": episode.number, "tasks": list(episode.tasks), "length": episode.length,
            "data/chunk_index": chunk, "data/file_index": file,
            "dataset_from_index": first, "dataset_to_index": first + episode.length,
        }  # fmt: skip
        for camera in old.info.videos:
            row |= {
                f"videos/{camera.name}/chunk_index": chunk, f"videos/{camera.name}/file_index": file,
                f"videos/{camera.name}/from_timestamp": 0.0,
                f"videos/{camera.name}/to_timestamp": episode.length / old.info.fps,
            }  # fmt: skip
        yield row | {f"stats/{name}/{key}": episode.stats[name][key] for name, key in common}
        first += episode.length


def _common_stats(old: OldDataset) -> list[tuple[str, str]]:
    """Those that every episode has; a column with holes in it is of no use to LeRobot."""
    first, *others = [_stats_of(episode.stats) for episode in old.episodes]
    return [key for key in first if all(key in other for other in others)]


def _stats_of(stats: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], None]:
    return {(name, key): None for name, of in stats.items() for key, value in of.items() if isinstance(value, list)}


def _write_tasks(old: OldDataset, new: Path) -> None:
    """Row i is task i; the text is what pandas calls the index."""
    schema = pa.schema([("task_index", pa.int64()), ("task", pa.string())], metadata=dict(TASKS_SCHEMA))
    pq.write_table(pa.table([list(range(len(old.tasks))), list(old.tasks)], schema=schema), new / TASKS_FILE)


def _info(old: OldDataset) -> dict[str, Any]:
    told = {name: value for name, value in old.info.told.items() if name not in GONE}
    return told | {
        "codebase_version": CODEBASE_VERSION,
        "total_episodes": len(old.episodes),
        "total_frames": sum(episode.length for episode in old.episodes),
        "total_tasks": len(old.tasks),
        "chunks_size": FILES_A_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": int(old.info.fps),
        "splits": {"train": f"0:{len(old.episodes)}"},
        "data_path": DATA_FORMAT,
        "video_path": VIDEO_FORMAT if old.info.videos else None,
        "features": {name: _feature(feature, old) for name, feature in old.info.features.items()},
    }


def _feature(feature: Feature, old: OldDataset) -> Mapping[str, Any]:
    return feature.told if feature.is_video else {**feature.told, "fps": int(old.info.fps)}
