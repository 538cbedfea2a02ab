"""How fast `reflex datasets validate` is, and how much memory it takes: a dataset of 100,000 frames made for it.

    python -m reflex_bench.dataset_bench [--episodes 100] [--frames 1000] [--height 480] [--width 640] [--folder DIR]

The video of one episode is encoded once and linked for the others: what is measured is reading.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex.datasets.stats import PictureStats, Stats, numbers_stats
from reflex.embodiments import load_embodiment
from reflex_runner.recording.lerobot.dataset import Dataset
from reflex_runner.recording.lerobot.features import Features, info_of_features, numeric
from reflex_runner.recording.lerobot.rows import Rows, read_numbers
from reflex_runner.recording.lerobot.tables import EpisodeRow
from reflex_runner.recording.lerobot.video import Mp4

CAMERA = "observation.images.front"
FPS = 30


def make(root: Path, episodes: int, frames: int, height: int, width: int) -> None:
    """A dataset as a robot's run records it."""
    features = Features(load_embodiment("so101"), FPS, {"front": (height, width)}, "video")
    dataset = Dataset(root, info_of_features(features), FPS, "so101")
    first, pictures = _film(dataset.video_file(CAMERA, 0), frames, height, width)
    for number in range(episodes):
        file = dataset.data_file(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_rows(dataset, file, number, frames)
        if number:
            os.link(first, dataset.video_file(CAMERA, number))
        names = numeric(dataset.info_features)
        stats: dict[str, Stats] = {name: numbers_stats(read_numbers(file, name)) for name in names} | {CAMERA: pictures}
        ordered = {name: stats[name] for name in dataset.info_features}
        row = EpisodeRow(number, number, "pick up the cube", frames, number * frames, frames / FPS, (CAMERA,), ordered)
        dataset.add(row)


def _film(file: Path, frames: int, height: int, width: int) -> tuple[Path, Stats]:
    """Noise of a camera over a scene in which something moves."""
    file.parent.mkdir(parents=True)
    random, stats, video = np.random.default_rng(1), PictureStats(), Mp4(file, FPS, height, width)
    scene = np.linspace(40, 200, width, dtype=np.float32)[None, :, None].repeat(height, 0).repeat(3, 2)
    noise = random.normal(0, 3, (8, height, width, 3)).astype(np.float32)
    for frame in range(frames):
        pixels = np.clip(scene + noise[frame % 8], 0, 255).astype(np.uint8)
        across = (frame * 7) % (width - 80)
        pixels[height // 3 : height // 2, across : across + 80] = (250, 60, 40)
        video.add(pixels)
        stats.add(pixels)
    video.finish()
    return file, stats.stats()


def _write_rows(dataset: Dataset, file: Path, number: int, frames: int) -> None:
    rows = Rows(file, dataset.info_features)
    for frame in range(frames):
        at_s = frame / FPS
        rows.add(
            {
                "observation.state": _pose(number, frame), "action": _pose(number, frame + 2),
                "reflex.measured_unix_s": 1.7e9 + number * 60 + at_s, "reflex.applied": True,
                "reflex.camera.front.unix_s": 1.7e9 + number * 60 + at_s, "timestamp": at_s, "frame_index": frame,
                "episode_index": number, "index": number * frames + frame, "task_index": 0,
            }
        )  # fmt: skip
    rows.finish()


def _pose(number: int, frame: int) -> npt.NDArray[np.float32]:
    axes = [25 * np.sin(2 * np.pi * (frame / (60 + 7 * axis) + 0.1 * number + 0.1 * axis)) for axis in range(6)]
    axes[5] += 40
    return np.array(axes, np.float32)


def measure(root: Path) -> dict[str, Any]:
    """In a process of its own, whose memory is its own."""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "reflex.cli", "datasets", "validate", str(root), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - begin
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads(done.stdout)
    return {
        "frames": told["frames"], "pictures": told["pictures"], "valid": told["valid"], "warnings": told["warnings"],
        "seconds": round(seconds, 1), "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("episodes", 100), ("frames", 1000), ("height", 480), ("width", 640)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        root = Path(folder) / "dataset"
        make(root, given.episodes, given.frames, given.height, given.width)
        found = measure(root)
    decoded_mb = found["pictures"] * given.height * given.width * 1.5 / 1e6
    print(json.dumps(found))
    print(
        f"{found['frames']:,} frames, {decoded_mb:,.0f} MB of video decoded (yuv420p, {given.width} x {given.height})"
    )
    print(f"{found['seconds']:g} s, {found['cpu_s']:g} s of one core: {decoded_mb / found['cpu_s']:,.0f} MB/s a core")
    print(f"peak memory {found['peak_mb']:,} MB")
    return 0 if found["valid"] else 1


if __name__ == "__main__":
    sys.exit(main())
