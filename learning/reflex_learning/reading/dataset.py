"""A dataset as a whole: what it says of itself, without looking at a frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.datasets.layout import DATA_FOLDER, INFO_FILE
from reflex_learning.errors import DatasetError
from reflex_learning.reading.episodes import Episode, read_episodes, tables_in
from reflex_learning.reading.frames import Frames, frames_of
from reflex_learning.reading.info import Feature, Info, read_info
from reflex_learning.reading.tasks import read_tasks

__all__ = ["Dataset", "find_datasets", "frames_of_episode", "line_of", "open_dataset", "told"]

DEEPEST: Final = 4
"""Folders below the one that is given: the hub has owner/name."""


@dataclass(frozen=True, slots=True)
class Dataset:
    root: Path
    info: Info
    episodes: tuple[Episode, ...]
    tasks: tuple[tuple[int, str], ...]

    @property
    def frames(self) -> int:
        """As its episodes say."""
        return sum(episode.length for episode in self.episodes)


def open_dataset(root: Path) -> Dataset:
    """One of version 3; `DatasetError` for anything else."""
    info = read_info(root)
    if not info.version.startswith("v3."):
        raise DatasetError(f"{root} is a dataset of version {info.version}; convert it: reflex datasets convert")
    return Dataset(root, info, read_episodes(root, [feature.name for feature in info.videos]), read_tasks(root))


def find_datasets(folder: Path) -> Iterator[Path]:
    """The folder, or those below it, that have a `meta/info.json`; none lies inside another."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder; give a dataset, or the folder that datasets lie in")
    yield from _found(folder, DEEPEST)


def _found(folder: Path, deeper: int) -> Iterator[Path]:
    if (folder / INFO_FILE).is_file():
        yield folder
    elif deeper:
        for below in sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()):
            yield from _found(below, deeper - 1)


def frames_of_episode(dataset: Dataset, number: int) -> Frames:
    """Of one episode, its state and action; of a very long one the beginning."""
    episode = next((each for each in dataset.episodes if each.number == number), None)
    if episode is None:
        raise DatasetError(f"there is no episode {number}; {dataset.root} has 0 to {len(dataset.episodes) - 1}")
    wanted = [name for name in ("observation.state", "action") if name in dataset.info.features]
    for frames in frames_of(dataset.root, [episode.data_file], wanted):
        if frames.episode == number:
            return frames
    raise DatasetError(f"{episode.data_file} holds no frame of episode {number}; see: reflex datasets validate")


def line_of(root: Path) -> dict[str, Any]:
    """What `list` says of one; a broken one is listed with its error."""
    try:
        info = read_info(root)
    except DatasetError as exc:
        return {"path": str(root), "error": str(exc)}
    totals = {name: info.total(name) for name in ("episodes", "frames", "tasks")}
    return {"path": str(root), "version": info.version, "robot_type": info.robot_type, "fps": info.fps, **totals}


def told(dataset: Dataset) -> dict[str, Any]:
    """As one JSON value."""
    lengths = [episode.length for episode in dataset.episodes]
    return {
        "path": str(dataset.root),
        "version": dataset.info.version,
        "robot_type": dataset.info.robot_type,
        "fps": dataset.info.fps,
        "episodes": len(lengths),
        "frames": dataset.frames,
        "seconds": round(dataset.frames / dataset.info.fps, 3),
        "shortest_episode": min(lengths, default=0),
        "longest_episode": max(lengths, default=0),
        "tasks": [text for _, text in dataset.tasks],
        "features": [_feature_told(feature) for feature in dataset.info.features.values()],
        "data_files": len(tables_in(dataset.root, DATA_FOLDER)),
    }


def _feature_told(feature: Feature) -> dict[str, Any]:
    codec = {"codec": feature.video.get("video.codec")} if feature.is_video else {}
    names = {} if feature.is_picture else {"names": list(feature.labels)}
    return {"name": feature.name, "dtype": feature.dtype, "shape": list(feature.shape), **names, **codec}
