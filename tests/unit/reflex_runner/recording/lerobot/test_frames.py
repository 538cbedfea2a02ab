"""Frames at the declared rate, of the ticks that were measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from reflex.connector import CameraFrame
from reflex_runner.recording.lerobot.frames import Frame, FrameMaker, Pictures, usable
from reflex_runner.recording.pictures import Picture
from support.run_recording.runs import picture, pose, tick

FPS = 10


def frames_of(times_s: Sequence[float]) -> list[float]:
    """At which times the frames were measured."""
    maker = FrameMaker(FPS)
    found = [made for at_s in times_s for made in maker.add(Frame(at_s, pose(0), pose(0), applied=True, pictures={}))]
    return [frame.at_s for frame in [*found, *maker.end()]]


@pytest.mark.parametrize(
    ("times_s", "frames_s"),
    [
        ([5.0, 5.1, 5.2], [5.0, 5.1, 5.2]),
        ([5.0, 5.104, 5.197, 5.298], [5.0, 5.104, 5.197, 5.298]),  # a loop that is not quite even
        ([5.0, 5.05, 5.1, 5.15, 5.2], [5.0, 5.1, 5.2]),  # twice as fast as declared
        ([5.0, 5.2, 5.4], [5.0, 5.0, 5.2, 5.2, 5.4]),  # half as fast: the nearest, the earlier of two
        ([5.0], [5.0]),
        ([], []),
    ],
    ids=["even", "uneven", "fast", "slow", "one", "none"],
)
def test_each_frame_is_the_nearest_tick(times_s: list[float], frames_s: list[float]) -> None:
    assert frames_of(times_s) == frames_s


def test_a_pause_becomes_no_standstill() -> None:
    found = frames_of([0.0, 0.1, 0.2, 60.2, 60.3])

    assert (found[:3], found[-2:]) == ([0.0, 0.1, 0.2], [60.2, 60.3])
    assert len(found) <= 7


def test_frames_drift_from_the_ticks_by_half_a_period_at_most_over_hours() -> None:
    times_s = np.cumsum(np.full(20_000, 0.1) + np.random.default_rng(1).normal(0, 1e-3, 20_000))
    found = np.array(frames_of(list(times_s)))

    moments = times_s[0] + np.arange(len(found)) / FPS
    assert np.abs(found - moments).max() <= 0.5 / FPS + 0.005
    assert abs(len(found) - (times_s[-1] - times_s[0]) * FPS) <= 1.5


def test_a_frame_shows_the_newest_picture_that_was_there_at_its_tick() -> None:
    pictures = Pictures()
    for captured_s in (1.0, 3.0, 2.0):
        pictures.add("front", Picture(CameraFrame(picture(1), captured_s)))

    found = usable(tick(0, 2.5), pictures, ("front",))

    assert found is not None
    assert found.pictures["front"].captured_s == 2.0


@pytest.mark.parametrize(
    "changes",
    [{"command": None}, {"measured": None}, {"measured": np.full(6, np.nan, np.float32)}],
    ids=["no command", "no state", "a broken state"],
)
def test_a_tick_without_state_or_command_is_no_frame(changes: dict[str, object]) -> None:
    assert usable(tick(0, 1.0, **changes), Pictures(), ()) is None


def test_before_every_camera_has_shown_something_there_is_no_frame() -> None:
    pictures = Pictures()
    pictures.add("front", Picture(CameraFrame(picture(1), 1.0)))

    assert usable(tick(0, 2.0), pictures, ("front", "wrist")) is None
