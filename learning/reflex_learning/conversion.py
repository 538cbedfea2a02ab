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

from reflex.datasets.layout import (
    CODEBASE_VERSION,
    DATA_FOLDER,
    DATA_FORMAT,
    FILES_A_CHUNK,
    INFO_FILE,
    VIDEO_FORMAT,
    VIDEOS_FOLDER,
)
from reflex_learning.errors import DatasetError
from reflex_learning.reading.info import Feature
from reflex_learning.reading.places import regular_file
from reflex_learning.reading.tables import open_table
from reflex_learning.reading.version_2 import OldDataset, OldEpisode, open_old
from reflex_learning.statistics import compute_stats, write_stats
from reflex_learning.writing import new_folder, place_of, write_rows, write_tasks

__all__ = ["Advance", "convert"]

GONE: Final = ("total_chunks", "total_videos")
Advance = Callable[[int, int], None]


def convert(root: Path, out: Path, advance: Advance | None = None) -> Path:
    """Write the dataset at `out`, which must not be there yet; `DatasetError` for what cannot be converted."""
    old = open_old(root)
    with new_folder(out) as partial:
        _write(old, partial, advance)
    return out


def _write(old: OldDataset, new: Path, advance: Advance | None) -> None:
    for episode in old.episodes:
        _check_rows(old, episode)
        _copy(old.root, old.data_file(episode.number), new / DATA_FOLDER / place_of(episode.number, ".parquet"))
        for camera in old.info.videos:
            source = old.video_file(camera.name, episode.number)
            _copy(old.root, source, new / VIDEOS_FOLDER / camera.name / place_of(episode.number, ".mp4"))
    write_rows(new, list(_rows(old)))
    write_tasks(new, old.tasks)
    (new / INFO_FILE).write_text(json.dumps(_info(old), indent=4), encoding="utf-8")
    write_stats(new, compute_stats(new, advance))


def _check_rows(old: OldDataset, episode: OldEpisode) -> None:
    file = old.data_file(episode.number)
    with open_table(old.root, file) as table:
        if table.metadata.num_rows != episode.length:
            says = f"{file} has {table.metadata.num_rows} rows, and {episode.length} by meta/episodes.jsonl"
            raise DatasetError(f"{says}; copy the dataset anew")


def _copy(root: Path, source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(regular_file(root, source), target)


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
