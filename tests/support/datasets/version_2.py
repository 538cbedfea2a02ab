"""A draft as LeRobot 0.3 wrote datasets: version 2.1, a file for each episode."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from support.datasets.drafts import Draft
from support.datasets.writing import write

__all__ = ["write_old"]


def write_old(draft: Draft, root: Path) -> Path:
    """Of the layouts `video` and `image`, which have a file for each episode."""
    draft.sum_up()
    write(draft, root)
    for number in range(len(draft.episodes)):
        _move(root / f"data/chunk-000/file-{number:03d}.parquet", root / f"data/chunk-000/episode_{number:06d}.parquet")
        for camera in draft.pictures if draft.layout == "video" else ():
            new = root / f"videos/chunk-000/{camera}/episode_{number:06d}.mp4"
            _move(root / f"videos/{camera}/chunk-000/file-{number:03d}.mp4", new)
    for file in [*root.glob("meta/**/*.parquet"), root / "meta/stats.json"]:
        file.unlink()
    _write_lines(root / "meta/tasks.jsonl", ({"task_index": n, "task": text} for n, text in enumerate(draft.tasks)))
    names = ("episode_index", "tasks", "length")
    _write_lines(root / "meta/episodes.jsonl", ({name: row[name] for name in names} for row in draft.rows))
    _write_lines(root / "meta/episodes_stats.jsonl", map(_stats, draft.rows, [draft] * len(draft.rows)))
    (root / "meta/info.json").write_text(json.dumps(_info(draft)))
    return root


def _stats(row: dict[str, Any], draft: Draft) -> dict[str, Any]:
    kept = ("min", "max", "mean", "std", "count")
    numbers = {name: {key: row[f"stats/{name}/{key}"] for key in kept} for name in draft.episodes[0]}
    pictures = {camera: {key: draft.stats[camera][key] for key in kept} for camera in draft.pictures}
    return {"episode_index": row["episode_index"], "stats": numbers | pictures}


def _info(draft: Draft) -> dict[str, Any]:
    new = ("data_files_size_in_mb", "video_files_size_in_mb")
    videos = len(draft.episodes) * len(draft.pictures) if draft.layout == "video" else 0
    return {name: value for name, value in draft.info.items() if name not in new} | {
        "codebase_version": "v2.1",
        "total_chunks": 1,
        "total_videos": videos,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
        if videos
        else None,
    }


def _move(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    file.rename(to)


def _write_lines(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
