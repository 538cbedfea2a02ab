"""A dataset on disk. Its episodes are those with a row in `meta/episodes`; all that sums them up is made anew of these.

    data, videos (named when whole)  ->  meta/episodes: now it belongs  ->  tasks, stats.json  ->  info.json

Killed at any moment, every episode with a row is whole; what lies beyond is removed by `settle`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from reflex.datasets.layout import (
    CODEBASE_VERSION,
    DATA_FOLDER,
    DATA_FORMAT,
    EPISODES_FOLDER,
    FILES_A_CHUNK,
    INFO_FILE,
    STATS_FILE,
    TASKS_FILE,
    VIDEO_FORMAT,
    VIDEOS_FOLDER,
)
from reflex.datasets.stats import Stats, merged, quantiles_of
from reflex.durable_files import replace_file
from reflex_runner.recording.lerobot.features import numeric
from reflex_runner.recording.lerobot.rows import read_numbers
from reflex_runner.recording.lerobot.tables import EpisodeRow, file_of, read_episodes, write_episode, write_tasks

__all__ = ["FACTS_FILE", "Dataset", "load_dataset", "stray_files"]

FACTS_FILE: Final = "meta/reflex.json"
"""What the dataset is and the recording's header, from before its first episode on; LeRobot passes over it."""
MOST_FRAMES: Final = 2_000_000
"""Beyond these the quantiles stay those of the episodes' mean: they would not fit a robot's memory."""


@dataclass
class Dataset:
    """`info_features` is `features` of `meta/info.json`."""

    root: Path
    info_features: Mapping[str, Any]
    fps: int
    robot_type: str
    rows: list[EpisodeRow] = field(default_factory=list)
    """Without their statistics, which are merged: a run may have thousands."""
    stats: Mapping[str, Stats] = field(default_factory=dict)

    @property
    def begun(self) -> dict[str, Any]:
        """What `load_dataset` asks for."""
        return {"features": dict(self.info_features), "fps": self.fps, "robot_type": self.robot_type}

    @property
    def frames(self) -> int:
        """In all episodes."""
        return sum(row.length for row in self.rows)

    @property
    def tasks(self) -> list[str]:
        """Each once, in the order in which they first came."""
        return list(dict.fromkeys(row.task for row in self.rows))

    @property
    def videos(self) -> tuple[str, ...]:
        """Features that are videos."""
        return tuple(name for name, feature in self.info_features.items() if feature["dtype"] == "video")

    def data_file(self, number: int) -> Path:
        """Of an episode."""
        return self.root / DATA_FOLDER / file_of(number, ".parquet")

    def video_file(self, name: str, number: int) -> Path:
        """Of an episode's pictures of one camera."""
        return self.root / VIDEOS_FOLDER / name / file_of(number, ".mp4")

    def task_index(self, task: str) -> int:
        """Where the task stands, or will stand."""
        tasks = self.tasks
        return tasks.index(task) if task in tasks else len(tasks)

    def add(self, row: EpisodeRow) -> None:
        """Its files have their names; now it belongs to the dataset."""
        write_episode(self.root / EPISODES_FOLDER / file_of(row.number, ".parquet"), row)
        self.take(row)
        self.sum_up()

    def take(self, row: EpisodeRow) -> None:
        """One that is on disk already."""
        parts = [self.stats, row.stats] if self.rows else [row.stats]
        self.stats = {name: merged([part[name] for part in parts]) for name in self.info_features}
        self.rows.append(replace(row, stats={}))

    @property
    def is_summed_up(self) -> bool:
        """Whether what sums the episodes up is of all of them."""
        try:
            told = json.loads((self.root / INFO_FILE).read_bytes())
            stats = json.loads((self.root / STATS_FILE).read_bytes())
        except (OSError, ValueError):
            return False
        return bool(told == self._info() and stats["index"]["count"] == [self.frames])

    def sum_up(self, *, exact: bool = False) -> None:
        """Write tasks, statistics and `info.json` of the episodes; with `exact`, quantiles of all frames at once."""
        write_tasks(self.root / TASKS_FILE, self.tasks)
        told = {
            name: {key: value.tolist() for key, value in of.items()} for name, of in self._stats(exact=exact).items()
        }
        replace_file(self.root / STATS_FILE, json.dumps(told, indent=4).encode())
        replace_file(self.root / INFO_FILE, json.dumps(self._info(), indent=4).encode())

    def _stats(self, *, exact: bool) -> dict[str, Stats]:
        stats = {name: dict(of) for name, of in self.stats.items()}
        if exact and self.frames <= MOST_FRAMES:
            for name in numeric(self.info_features):
                values = [read_numbers(self.data_file(row.number), name) for row in self.rows]
                stats[name] |= quantiles_of(np.concatenate(values))
        return stats

    def _info(self) -> dict[str, Any]:
        return {
            "codebase_version": CODEBASE_VERSION,
            "robot_type": self.robot_type,
            "total_episodes": len(self.rows),
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": FILES_A_CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": self.fps,
            "splits": {"train": f"0:{len(self.rows)}"},
            "data_path": DATA_FORMAT,
            "video_path": VIDEO_FORMAT if self.videos else None,
            "features": dict(self.info_features),
        }


def load_dataset(root: Path) -> Dataset | None:
    """One of ours that is there; None when it was not even begun."""
    file = root / FACTS_FILE
    if not file.is_file():
        return None
    told = json.loads(file.read_bytes())
    dataset = Dataset(root, told["features"], told["fps"], told["robot_type"])
    for row in read_episodes(root / EPISODES_FOLDER):
        dataset.take(row)
    return dataset


def stray_files(dataset: Dataset) -> list[Path]:
    """What belongs to no episode: of one that was being written, or of one whose row never came."""
    belongs = {dataset.data_file(row.number) for row in dataset.rows}
    belongs |= {dataset.video_file(name, row.number) for row in dataset.rows for name in dataset.videos}
    belongs |= {dataset.root / EPISODES_FOLDER / file_of(row.number, ".parquet") for row in dataset.rows}
    places = [dataset.root / folder for folder in (DATA_FOLDER, VIDEOS_FOLDER, EPISODES_FOLDER)]
    found = [file for place in places for file in sorted(place.rglob("*")) if file.is_file()]
    partial = sorted((dataset.root / "meta").glob(".*.partial"))
    return [file for file in [*found, *partial] if file not in belongs]
