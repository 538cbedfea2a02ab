"""Have LeRobot write three small datasets: pictures in the tables, videos, and many files and tasks.

make_datasets.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

JOINTS = [
    f"{name}.pos" for name in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
]
CAMERAS = ("front", "wrist")
SIZE = 64
FPS = 30


def features(kind: str) -> dict[str, Any]:
    vector = {"dtype": "float32", "shape": (6,), "names": JOINTS}
    picture = {"dtype": kind, "shape": (SIZE, SIZE, 3), "names": ["height", "width", "channels"]}
    return {"action": vector, "observation.state": vector} | {f"observation.images.{name}": picture for name in CAMERAS}


def pose(episode: int, frame: int) -> Any:
    axes = [20 * np.sin(2 * np.pi * (frame / (40 + 3 * axis) + 0.13 * axis + 0.2 * episode)) for axis in range(6)]
    axes[5] += 40
    return np.array(axes, np.float32)


def picture(which: int, episode: int, frame: int) -> Any:
    down, across = np.mgrid[0:SIZE, 0:SIZE]
    pixels = np.repeat((60 + across * 2 if which == 0 else 200 - down * 2)[..., None], 3, axis=2).astype(np.uint8)
    row, column = (frame * 2 + episode * 5) % (SIZE - 16), (frame * 3 + episode * 7) % (SIZE - 20)
    pixels[row : row + 16, column : column + 20] = (250, 40, 20 + 60 * which)
    return pixels


def make(root: Path, kind: str, lengths: list[int], tasks: list[str], **sizes: Any) -> None:
    dataset = LeRobotDataset.create(
        "local/made", FPS, features(kind), root=root, robot_type="so101_follower", use_videos=kind == "video"
    )
    if sizes:
        dataset.meta.update_chunk_settings(**sizes)
    for episode, length in enumerate(lengths):
        for frame in range(length):
            values = {"action": pose(episode, frame + 2), "observation.state": pose(episode, frame)}
            shown = {f"observation.images.{name}": picture(n, episode, frame) for n, name in enumerate(CAMERAS)}
            dataset.add_frame(values | shown | {"task": tasks[episode % len(tasks)]})
        dataset.save_episode()
    dataset.finalize()


def main() -> None:
    folder = Path(sys.argv[1])
    make(folder / "images", "image", [33, 40], ["pick up the cube"])
    make(folder / "videos", "video", [35, 31, 48], ["pick up the cube"])
    tasks = ["pick up the red cube", "pick up the green cube", "put the cube down"]
    make(
        folder / "many", "video", [34, 36, 38, 40, 42, 44], tasks,
        chunks_size=2, data_files_size_in_mb=0.001, video_files_size_in_mb=0.001,
    )  # fmt: skip


if __name__ == "__main__":
    main()
