"""Datasets of a robot that never was, whole and sound, to be broken in one place each.

A draft is changed before it is summed up (its values), after that (what sums them up), or on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from reflex.datasets.layout import DATA_FORMAT, FILES_A_CHUNK, PICTURE_NAMES, VIDEO_FORMAT
from reflex.datasets.stats import PictureStats, numbers_stats
from reflex.embodiments import load_embodiment

__all__ = ["CAMERAS", "FPS", "LAYOUTS", "LENGTHS", "Draft", "Layout", "healthy", "moving_picture"]

Layout = Literal["video", "packed", "image"]
"""A file for each episode; all in one file of each kind; pictures in the tables."""
LAYOUTS: Final[tuple[Layout, ...]] = ("video", "packed", "image")
FPS: Final = 30
LENGTHS: Final = (36, 45, 40, 52)
TASKS: Final = ("pick up the red cube", "pick up the green cube")
CAMERAS: Final = ("observation.images.front", "observation.images.wrist")
HEIGHT, WIDTH = 48, 64
LEAD: Final = 2
"""Frames by which the state follows the action."""
ROBOT: Final = load_embodiment("so101")
Pixels = npt.NDArray[np.uint8]
Columns = dict[str, npt.NDArray[Any]]


@dataclass
class Draft:
    """`rows`, `stats` and `info` are empty until it is summed up."""

    layout: Layout
    episodes: list[Columns]
    pictures: dict[str, list[list[Pixels]]]
    """By camera and episode."""
    tasks: list[str]
    info: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    """Of columns that shall have another type than that of `info`."""

    def all_of(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate([columns[name] for columns in self.episodes])

    def sum_up(self) -> None:
        """What a recorder writes down of the values."""
        self.rows = _rows(self)
        self.stats = {name: _listed(numbers_stats(_wide(self.all_of(name)))) for name in self.episodes[0]}
        self.stats |= {camera: _picture_stats(shown) for camera, shown in self.pictures.items()}
        self.info = _info(self)


def healthy(layout: Layout = "video", lengths: tuple[int, ...] = LENGTHS) -> Draft:
    """Four episodes of two tasks with two cameras, not yet summed up."""
    episodes, first = [], 0
    for number, length in enumerate(lengths):
        episodes.append(_episode(number, length, first))
        first += length
    pictures = {
        camera: [
            [moving_picture(which, number, frame) for frame in range(length)] for number, length in enumerate(lengths)
        ]
        for which, camera in enumerate(CAMERAS)
    }
    return Draft(layout, episodes, pictures, list(TASKS))


def _episode(number: int, length: int, first: int) -> Columns:
    frames = np.arange(length)
    return {
        "observation.state": _course(number, frames),
        "action": _course(number, frames + LEAD),
        "timestamp": (frames / FPS).astype(np.float32),
        "frame_index": frames.astype(np.int64),
        "episode_index": np.full(length, number, np.int64),
        "index": (first + frames).astype(np.int64),
        "task_index": np.full(length, number % len(TASKS), np.int64),
    }


def _course(number: int, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    axes = [
        25 * np.sin(2 * np.pi * (frames / (40 + 3 * axis) + 0.13 * axis + 0.21 * number)) + 4 * axis + number
        for axis in range(6)
    ]
    axes[5] = axes[5] + 30  # the gripper opens from 0 to 100
    return np.asarray(np.stack(axes, axis=1), np.float32)


def moving_picture(which: int, number: int, frame: int) -> Pixels:
    """Of a camera in an episode: a scene of its own, in which a block moves with every frame."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    scene = 60 + across * 2 if which == 0 else 200 - down * 3
    pixels = np.repeat(scene[..., None], 3, axis=2).astype(np.uint8)
    row, column = (frame * 2 + number * 5) % (HEIGHT - 16), (frame * 3 + number * 7) % (WIDTH - 20)
    pixels[row : row + 16, column : column + 20] = (250, 30 + 40 * which, 20)
    return pixels


def _rows(draft: Draft) -> list[dict[str, Any]]:
    rows, first = [], 0
    for number, columns in enumerate(draft.episodes):
        length, file = len(columns["index"]), 0 if draft.layout == "packed" else number
        numbers = dict.fromkeys(columns["task_index"].tolist())
        row: dict[str, Any] = {
            "episode_index": number,
            "tasks": [draft.tasks[task] for task in numbers if 0 <= task < len(draft.tasks)],
            "length": length,
            "data/chunk_index": 0,
            "data/file_index": file,
            "dataset_from_index": first,
            "dataset_to_index": first + length,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": file,
        }
        if draft.layout != "image":
            from_s = first / FPS if draft.layout == "packed" else 0.0
            for camera in draft.pictures:
                row |= {
                    f"videos/{camera}/chunk_index": 0, f"videos/{camera}/file_index": file,
                    f"videos/{camera}/from_timestamp": from_s,
                    f"videos/{camera}/to_timestamp": from_s + length / FPS,
                }  # fmt: skip
        for name, values in columns.items():
            row |= {f"stats/{name}/{key}": each for key, each in _listed(numbers_stats(_wide(values))).items()}
        rows.append(row)
        first += length
    return rows


def _wide(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.reshape(len(values), -1)


def _listed(stats: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    return {name: value.tolist() for name, value in stats.items()}


def _picture_stats(shown: list[list[Pixels]]) -> dict[str, Any]:
    stats = PictureStats()
    for episode in shown:
        for pixels in episode:
            stats.add(pixels)
    return _listed(stats.stats())


def _info(draft: Draft) -> dict[str, Any]:
    frames = len(draft.all_of("index"))
    return {
        "codebase_version": "v3.0",
        "robot_type": "so101",
        "total_episodes": len(draft.episodes),
        "total_frames": frames,
        "total_tasks": len(draft.tasks),
        "chunks_size": FILES_A_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": FPS,
        "splits": {"train": f"0:{len(draft.episodes)}"},
        "data_path": DATA_FORMAT,
        "video_path": None if draft.layout == "image" else VIDEO_FORMAT,
        "features": _features(draft),
    }


def _features(draft: Draft) -> dict[str, Any]:
    axes = list(ROBOT.action_names)
    told: dict[str, Any] = {name: _feature(values) for name, values in draft.episodes[0].items()}
    told |= {name: told[name] | {"names": axes} for name in ("observation.state", "action") if name in told}
    for camera, shown in draft.pictures.items():
        size = list(shown[0][0].shape)
        told[camera] = {
            "dtype": "image" if draft.layout == "image" else "video",
            "shape": size,
            "names": list(PICTURE_NAMES),
        }
        if draft.layout != "image":
            told[camera]["info"] = {
                "video.height": size[0], "video.width": size[1], "video.codec": "h264", "video.fps": FPS,
                "video.pix_fmt": "yuv420p", "video.channels": 3, "has_audio": False, "video.is_depth_map": False,
            }  # fmt: skip
    return told


def _feature(values: npt.NDArray[Any]) -> dict[str, Any]:
    return {"dtype": str(values.dtype), "shape": list(values.shape[1:]) or [1], "names": None}
