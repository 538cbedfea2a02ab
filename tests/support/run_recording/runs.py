"""A run of a robot, as a recorder is told of it: an arm of six axes, and pictures that say which they are."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex.connector import CameraFrame, Observation
from reflex.embodiments import load_embodiment
from reflex.guard import Violation
from reflex_runner.recording.facts import PolicyFacts, RunFacts
from reflex_runner.recording.recorder import Recorder
from reflex_runner.tick import DatedChunk, Event, Listener, Tick
from support.waiting import wait_until

__all__ = [
    "HEIGHT",
    "TICK_S",
    "WIDTH",
    "facts",
    "interrupted",
    "number_in",
    "picture",
    "play",
    "pose",
    "recorded",
    "tick",
]

TICK_S: Final = 1 / 30
HEIGHT, WIDTH = 48, 64
OBSERVED_EVERY: Final = 5
CAMERAS: Final = ("front", "wrist")


def facts(**changes: Any) -> RunFacts:
    """Of an SO-101 on a bench."""
    told = RunFacts(
        load_embodiment("so101"),
        mode="apply_actions",
        instruction="pick up the cube",
        connector="so101",
        policy=PolicyFacts("pick_cube", "3", "sha256:ab12"),
        robot_id="bench-1",
        session_id="ses_1",
        calibration_id="cal_7",
        cameras=CAMERAS,
    )
    return dataclasses.replace(told, **changes)


def picture(number: int) -> npt.NDArray[np.uint8]:
    """Pixels that say which they are, also after a JPEG or a video: eight patches, black or white."""
    pixels = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
    for bit in range(8):
        pixels[16:32, bit * 8 : bit * 8 + 8] = 255 if number >> bit & 1 else 0
    return pixels


def number_in(pixels: npt.NDArray[np.uint8]) -> int:
    """Which `picture` it was, modulo 256."""
    means = [pixels[19:29, bit * 8 + 2 : bit * 8 + 6].mean() for bit in range(8)]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 128)


def pose(number: int, offset: float = 0.0) -> npt.NDArray[np.float32]:
    return np.array([number % 90, 1.5, -0.1, 0.25, 1e-3, 50.0], np.float32) + np.float32(offset)


def tick(number: int, at_s: float, **changes: Any) -> Tick:
    told = Tick(number, at_s, "move", pose(number), pose(number, 0.5), pose(number, 0.25), applied=True, chunk_seq=0)
    return dataclasses.replace(told, **changes)


def play(
    listener: Listener,
    ticks: int = 30,
    *,
    start_s: float | None = None,
    first: int = 0,
    cameras: Sequence[str] = CAMERAS,
    tick_s: float = TICK_S,
) -> float:
    """Tell of so many periods, in no time; an observation with pictures before every fifth. When the last one was."""
    begin_s = time.monotonic() if start_s is None else start_s
    for number in range(first, first + ticks):
        at_s = begin_s + (number - first) * tick_s
        if (number - first) % OBSERVED_EVERY == 0:
            _observe(listener, number, at_s, cameras)
        listener.ticked(tick(number, at_s))
    broken = Violation(0, 2, "elbow_flex", 99.0, 96.8, "above_range")
    listener.ticked(tick(first + ticks, at_s + tick_s, violations=(broken,)))
    listener.noted(Event(at_s + tick_s, "warning", "clamped", "elbow_flex was held to 96.8"))
    return at_s + tick_s


def _observe(listener: Listener, number: int, at_s: float, cameras: Sequence[str]) -> None:
    captured_s = at_s - 0.004
    frames = {name: CameraFrame(picture(number + index), captured_s) for index, name in enumerate(cameras)}
    listener.observed(number, Observation(pose(number), frames, "pick up the cube", captured_s))
    actions = np.stack([pose(number + step) for step in range(10)])
    listener.answered(DatedChunk(number, captured_s, at_s + 0.03, actions, TICK_S, {"model_version": "3"}))


def recorded(
    parent: Path, formats: Sequence[str], episodes: Mapping[int, bool | None] | None = None, **given: Any
) -> Path:
    """The folder of a recording with so many ticks in each episode, by how each went."""
    told = given.pop("facts", None) or facts()
    with Recorder(parent, told, formats, marked_episodes=True, keep_free_bytes=0, **given) as recorder:
        for number, (ticks, success) in enumerate((episodes or {30: None}).items()):
            recorder.begin_episode()
            play(recorder, ticks, first=number * 50)
            recorder.end_episode(success=success)
    assert not recorder.dropped, recorder.dropped
    assert not recorder.problems, recorder.problems
    return recorder.folder


def interrupted(parent: Path, formats: Sequence[str]) -> Path:
    """A recording, `jsonl` among its formats, with an open episode as a killed run leaves it."""
    left = parent / "left"
    with Recorder(parent / "whole", facts(), formats, keep_free_bytes=0) as recorder:
        play(recorder, 400)
        file = recorder.folder / "jsonl" / "episode-000000.jsonl.open"
        wait_until(lambda: file.exists() and b'"kind":"event"' in file.read_bytes(), "the last line is written")
        shutil.copytree(recorder.folder, left)
    shutil.rmtree(parent / "whole")
    return left
