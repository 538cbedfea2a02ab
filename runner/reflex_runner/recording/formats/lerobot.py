"""A LeRobot dataset of the run: frames at the declared rate, and beside them the times that were measured."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex.connector import Observation
from reflex.datasets.stats import PictureStats, Stats, numbers_stats
from reflex.durable_files import replace_file
from reflex_runner.recording.formats.files import open_name, private_folder, seal
from reflex_runner.recording.formats.images import safe_name
from reflex_runner.recording.formats.interface import EpisodeEnd, EpisodeStart, EpisodeWriter, Run
from reflex_runner.recording.lerobot.dataset import FACTS_FILE, Dataset
from reflex_runner.recording.lerobot.features import Features, PictureStorage, info_of_features, numeric
from reflex_runner.recording.lerobot.frames import Frame, FrameMaker, Pictures, usable
from reflex_runner.recording.lerobot.rows import Rows, png, read_numbers
from reflex_runner.recording.lerobot.tables import EpisodeRow
from reflex_runner.recording.lerobot.video import Mp4, pixel_format
from reflex_runner.recording.lines import to_line
from reflex_runner.recording.pictures import Picture
from reflex_runner.tick import Tick

__all__ = ["Lerobot", "LerobotPng"]


class Lerobot:
    """The format `lerobot`: one dataset for the run, its pictures as videos."""

    storage: PictureStorage = "video"

    def __init__(self, run: Run) -> None:
        self._run = run
        self._dataset: Dataset | None = None

    def begin(self, episode: EpisodeStart) -> EpisodeWriter:
        return _LerobotEpisode(self, episode)

    def close(self) -> None:
        if self._dataset is not None and self._dataset.rows:
            self._dataset.sum_up(exact=True)

    @property
    def run(self) -> Run:
        return self._run

    def dataset(self, sizes: Mapping[str, tuple[int, int]]) -> Dataset:
        """The one of this run; the first frame of all says how large the pictures are."""
        if self._dataset is None:
            self._dataset = self._new(sizes)
        return self._dataset

    def _new(self, sizes: Mapping[str, tuple[int, int]]) -> Dataset:
        root = private_folder(self._run.folder / "lerobot")
        private_folder(root / "meta")
        embodiment, fps = self._run.facts.embodiment, max(1, round(self._run.facts.rate_hz))
        formats = {f"observation.images.{camera}": pixel_format(*size) for camera, size in sizes.items()}
        features = Features(embodiment, fps, dict(sizes), self.storage, pix_fmt=formats)
        dataset = Dataset(root, info_of_features(features), fps, embodiment.name)
        replace_file(root / FACTS_FILE, to_line({**dataset.begun, "recording": self._run.header}))
        return dataset


class LerobotPng(Lerobot):
    """The format `lerobot_png`: pictures without loss, inside the tables; for small ones, and to train on a CPU."""

    storage: PictureStorage = "png"


class _LerobotEpisode(EpisodeWriter):
    """Its files are opened with the first frame: before that, nobody knows how large pictures are."""

    def __init__(self, of: Lerobot, episode: EpisodeStart) -> None:
        self._of = of
        self._episode = episode
        self._cameras = _named(of.run.facts.cameras)
        self._pictures = Pictures()
        self._frames = FrameMaker(max(1, round(of.run.facts.rate_hz)))
        self._files: _Files | None = None

    def pictured(self, camera: str, picture: Picture) -> None:
        self._pictures.add(safe_name(camera), picture)

    def observed(self, _seq: int, observation: Observation) -> None:
        if self._cameras is None:
            self._cameras = _named(observation.cameras)

    def ticked(self, tick: Tick) -> None:
        frame = None if self._cameras is None else usable(tick, self._pictures, self._cameras)
        if frame is not None:
            for made in self._frames.add(frame):
                self._add(made)

    def finish(self, _end: EpisodeEnd) -> None:
        for made in self._frames.end():
            self._add(made)
        if self._files is not None:
            self._files.finish()

    def abandon(self) -> None:
        if self._files is not None:
            self._files.abandon()

    def _add(self, frame: Frame) -> None:
        pixels = {camera: picture.pixels for camera, picture in frame.pictures.items()}
        shown = {camera: some for camera, some in pixels.items() if some is not None}
        if len(shown) < len(pixels):
            return
        if self._files is None:
            dataset = self._of.dataset({camera: (some.shape[0], some.shape[1]) for camera, some in shown.items()})
            self._files = _Files(dataset, self._of.run, self._episode)
        self._files.add(frame, shown)


@dataclass
class _Files:
    """The open files of one episode."""

    dataset: Dataset
    run: Run
    episode: EpisodeStart
    videos: dict[str, Mp4] = field(default_factory=dict)
    looked: dict[str, PictureStats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.number = len(self.dataset.rows)
        self.data = self.dataset.data_file(self.number)
        private_folder(self.data.parent)
        self.rows = Rows(open_name(self.data), self.dataset.info_features)
        try:
            self._open_videos()
        except BaseException:
            self.abandon()
            raise

    def _open_videos(self) -> None:
        for name in self.dataset.videos:
            file = self.dataset.video_file(name, self.number)
            private_folder(file.parent)
            height, width, _ = self.dataset.info_features[name]["shape"]
            self.videos[name] = Mp4(open_name(file), self.dataset.fps, height, width)

    def add(self, frame: Frame, pixels: Mapping[str, npt.NDArray[np.uint8]]) -> None:
        cells: dict[str, Any] = {}
        for camera, shown in pixels.items():
            name = f"observation.images.{camera}"
            self._refuse_another_size(name, shown)
            self.looked.setdefault(name, PictureStats()).add(shown)
            if name in self.videos:
                self.videos[name].add(shown)
            else:
                cells[name] = png(shown)
            cells[f"reflex.camera.{camera}.unix_s"] = self.run.moments.unix_s(frame.pictures[camera].captured_s)
        self.rows.add(cells | self._numbers(frame))

    def finish(self) -> None:
        self.rows.finish()
        for video in self.videos.values():
            video.finish()
        stats = self._stats()
        seal(self.data)
        for name in self.videos:
            seal(self.dataset.video_file(name, self.number))
        seconds = self.rows.rows / self.dataset.fps
        row = EpisodeRow(
            self.number, self.episode.number, self.episode.instruction, self.rows.rows,
            self.dataset.frames, seconds, self.dataset.videos, stats,
        )  # fmt: skip
        self.dataset.add(row)

    def abandon(self) -> None:
        _close(self.rows)
        for video in self.videos.values():
            _close(video)

    def _numbers(self, frame: Frame) -> dict[str, Any]:
        index = self.rows.rows
        return {
            "observation.state": frame.state,
            "action": frame.action,
            "reflex.measured_unix_s": self.run.moments.unix_s(frame.at_s),
            "reflex.applied": frame.applied,
            "timestamp": index / self.dataset.fps,
            "frame_index": index,
            "episode_index": self.number,
            "index": self.dataset.frames + index,
            "task_index": self.dataset.task_index(self.episode.instruction),
        }

    def _refuse_another_size(self, name: str, pixels: npt.NDArray[np.uint8]) -> None:
        wanted = self.dataset.info_features.get(name, {"shape": "no"})["shape"]
        if list(pixels.shape) != wanted:
            raise ValueError(f"{name} is {list(pixels.shape)} now, and {wanted} in the dataset; keep the camera's size")

    def _stats(self) -> dict[str, Stats]:
        names = numeric(self.dataset.info_features)
        numbers = {name: numbers_stats(read_numbers(open_name(self.data), name)) for name in names}
        pictures = {name: looked.stats() for name, looked in self.looked.items()}
        return {name: (numbers | pictures)[name] for name in self.dataset.info_features}


def _named(cameras: Iterable[str] | None) -> tuple[str, ...] | None:
    """As features and folders may be called."""
    return None if cameras is None else tuple(safe_name(camera) for camera in cameras)


def _close(part: Rows | Mp4) -> None:
    with contextlib.suppress(Exception):  # it has failed already, and that was said
        part.abandon()
