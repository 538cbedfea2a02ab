"""Datasets of version 2.0 and 2.1: a file for each episode, and what sums them up as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reflex_learning.errors import DatasetError
from reflex_learning.reading.info import Info, read_info
from reflex_learning.reading.places import regular_file

__all__ = ["OldDataset", "OldEpisode", "open_old"]

VERSIONS: Final = ("v2.0", "v2.1")
TASKS, EPISODES, STATS = "meta/tasks.jsonl", "meta/episodes.jsonl", "meta/episodes_stats.jsonl"
LONGEST_LINE: Final = 16 * 1024 * 1024
MOST_LINES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class OldEpisode:
    number: int
    length: int
    tasks: tuple[str, ...]
    stats: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of each feature, where the dataset has them."""


@dataclass(frozen=True, slots=True)
class OldDataset:
    root: Path
    info: Info
    tasks: tuple[str, ...]
    episodes: tuple[OldEpisode, ...]
    chunk: int
    """Episodes in a folder."""

    def data_file(self, number: int) -> str:
        return f"data/chunk-{number // self.chunk:03d}/episode_{number:06d}.parquet"

    def video_file(self, camera: str, number: int) -> str:
        return f"videos/chunk-{number // self.chunk:03d}/{camera}/episode_{number:06d}.mp4"


def open_old(root: Path) -> OldDataset:
    """`DatasetError` for another version, and for what is not whole."""
    info = read_info(root)
    if info.version not in VERSIONS:
        raise DatasetError(f"{root} is of version {info.version}; only {' and '.join(VERSIONS)} are converted")
    chunk = info.told.get("chunks_size", 1000)
    if type(chunk) is not int or chunk < 1:
        raise DatasetError(f"{root}: chunks_size of meta/info.json is no whole number above 0; copy the dataset anew")
    _refuse_unsafe_names(info)
    return OldDataset(root, info, _tasks(root), _episodes(root), chunk)


def _refuse_unsafe_names(info: Info) -> None:
    for name in (*info.features, *info.malformed):
        if info.malformed or "/" in name or ".." in name or not name.isprintable():
            raise DatasetError(f"the feature {name[:80]!r} cannot be converted; write its name, dtype and shape anew")


def _tasks(root: Path) -> tuple[str, ...]:
    found = {line.get("task_index"): line.get("task") for line in _lines(root, TASKS)}
    texts = [found.get(number) for number in range(len(found))]
    if not all(isinstance(text, str) for text in texts):
        raise DatasetError(f"{TASKS} does not name the tasks 0 to {len(found) - 1}; write it anew")
    return tuple(str(text) for text in texts)


def _episodes(root: Path) -> tuple[OldEpisode, ...]:
    stats: dict[object, Any] = {}
    if (root / STATS).exists():
        stats = {line.get("episode_index"): line.get("stats") for line in _lines(root, STATS)}
    found = [_episode(line, row, stats.get(row)) for row, line in enumerate(_lines(root, EPISODES))]
    if not found:
        raise DatasetError(f"{EPISODES} names no episode; there is nothing to convert")
    return tuple(found)


def _episode(line: Mapping[str, Any], row: int, stats: object) -> OldEpisode:
    number, length, tasks = line.get("episode_index"), line.get("length"), line.get("tasks")
    if number != row or type(length) is not int or length < 1 or not isinstance(tasks, list):
        raise DatasetError(f"{EPISODES}, line {row + 1}, is not episode {row} with its length and tasks; write it anew")
    told = {name: of for name, of in stats.items() if isinstance(of, Mapping)} if isinstance(stats, Mapping) else {}
    return OldEpisode(row, length, tuple(map(str, tasks)), told)


def _lines(root: Path, relative: str) -> Iterator[Mapping[str, Any]]:
    with regular_file(root, relative).open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), 1):
            if len(line) > LONGEST_LINE or number > MOST_LINES:
                raise DatasetError(f"{relative} is longer than any dataset's; copy it anew")
            if line.strip():
                yield _object(line, relative, number)


def _object(line: bytes, relative: str, number: int) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise DatasetError(f"{relative}, line {number}, is no JSON; copy it anew") from exc
    if not isinstance(found, Mapping):
        raise DatasetError(f"{relative}, line {number}, is no JSON object; copy it anew")
    return found
