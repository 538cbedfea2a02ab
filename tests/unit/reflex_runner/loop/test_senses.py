"""The newest observation, with the pictures of all cameras; what fails while observing stops the run."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest

from reflex.connector import CameraFrame, Observation
from reflex_runner.clock import SYSTEM_CLOCK
from reflex_runner.errors import HardwareError
from reflex_runner.loop.senses import Senses
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.motion.usable import why_unusable
from support.runner.arms import arm, pose
from support.waiting import HANGS_S, wait_until

PICTURE = np.zeros((2, 2, 3), np.uint8)


class Camera:
    def __init__(self, frame: CameraFrame | None) -> None:
        self.frame = frame

    def start(self) -> None: ...

    def latest(self) -> CameraFrame | None:
        return self.frame

    def stop(self) -> None: ...


@contextmanager
def sensing(
    read: Callable[[], Observation | None], cameras: Mapping[str, Camera] | None = None
) -> Iterator[tuple[Senses, StopRequests]]:
    stops = StopRequests()
    senses = Senses(read, cameras or {}, arm(), 0.005, stops, SYSTEM_CLOCK)
    senses.start()
    yield senses, stops
    assert senses.end(30)


def test_the_newest_observation_is_there_and_the_next_can_be_waited_for() -> None:
    with sensing(lambda: Observation(pose(1, 2))) as (senses, _):
        wait_until(senses.newest, "the first")
        seen = senses.newest()
        following = senses.after(seen)
        assert following is not None
        assert following is not seen


def test_the_same_moment_read_again_is_no_next_observation() -> None:
    read = threading.Event()
    reads = iter([Observation(pose(1, 2), captured_s=1.0), Observation(pose(1, 2), captured_s=1.0)])

    def again() -> Observation:
        observation = next(reads, None)
        if observation is None:
            read.set()
        return observation or Observation(pose(1, 2), captured_s=1.0)

    with sensing(again) as (senses, _):
        first = senses.after(None)
        assert first is not None
        assert read.wait(60)
        assert senses.after(first) is None


def test_pictures_of_the_connector_and_of_the_cameras_come_together() -> None:
    own, wrist = CameraFrame(PICTURE, 5.0), CameraFrame(PICTURE, 6.0)
    with sensing(lambda: Observation(pose(1, 2), {"front": own}), {"wrist": Camera(wrist)}) as (senses, _):
        wait_until(senses.newest, "an observation")
        newest = senses.newest()
        assert newest is not None
        assert newest.cameras == {"front": own, "wrist": wrist}


def test_a_camera_without_any_picture_makes_the_observation_unusable() -> None:
    with sensing(lambda: Observation(pose(1, 2)), {"wrist": Camera(None)}) as (senses, _):
        wait_until(senses.newest, "an observation")
        newest = senses.newest()
        assert newest is not None
        why = why_unusable(newest, newest.captured_s, 0.1, {})
        assert why is not None
        assert why.startswith("camera wrist's picture is inf s old")


def test_a_state_older_than_two_periods_says_nothing_of_where_the_robot_is() -> None:
    with sensing(lambda: Observation(pose(1, 2), captured_s=100.0)) as (senses, _):
        wait_until(senses.newest, "an observation")
        assert senses.measured(100.0099) is not None
        assert senses.measured(100.0101) is None


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (HardwareError("motor 3 is silent"), "hardware_error", "observing failed: motor 3 is silent"),
        (ValueError(), "observe_failed", "observing failed: ValueError"),
        (SystemExit(3), "observe_failed", "observing failed: 3"),
    ],
)
def test_what_fails_while_observing_stops_the_run(fault: Exception, code: str, message: str) -> None:
    def read() -> Observation:
        raise fault

    with sensing(read) as (_, stops):
        wait_until(lambda: stops.cause, "the run is stopped")
        assert stops.cause is not None
        assert (stops.cause.code, stops.cause.message, stops.cause.kind) == (code, message, "fault")


@pytest.mark.parametrize("state", [pose(1, 2, 3), np.zeros((1, 2), np.float32), np.array(["a", "b"]), [1.0, 2.0]])
def test_a_state_of_another_robot_stops_the_run(state: object) -> None:
    with sensing(lambda: Observation(state)) as (senses, stops):  # type: ignore[arg-type]
        wait_until(lambda: stops.cause, "the run is stopped")
        assert stops.cause is not None
        assert "a state of test is an array of 2 numbers" in stops.cause.message
        assert senses.newest() is None


def test_no_more_observations_are_the_end_and_no_error() -> None:
    with sensing(lambda: None) as (_, stops):
        wait_until(lambda: stops.cause, "the run ends")
        assert stops.cause is not None
        assert (stops.cause.code, stops.cause.kind) == ("observations_ended", "end")


def test_a_robot_that_does_not_answer_any_more_is_told_of_in_the_end() -> None:
    let_go = threading.Event()

    def read() -> Observation:
        let_go.wait(HANGS_S)
        return Observation(pose(1, 2))

    senses = Senses(read, {}, arm(), 0.005, StopRequests(), SYSTEM_CLOCK)
    senses.start()
    assert not senses.end(0.05)
    let_go.set()
    assert senses.end(HANGS_S)


def test_one_that_never_began_ends_at_once() -> None:
    assert Senses(lambda: None, {}, arm(), 1.0, StopRequests(), SYSTEM_CLOCK).end(0.0)


@pytest.mark.parametrize("captured_s", [1.7e9, 1e12, math.nan, math.inf])
def test_an_observation_of_another_clock_stops_the_run_for_it_would_never_grow_old(captured_s: float) -> None:
    with sensing(lambda: Observation(pose(1, 2), captured_s=captured_s)) as (senses, stops):
        wait_until(lambda: stops.cause, "the run is stopped")
        assert stops.cause is not None
        assert "in the future: its captured_s is on the monotonic clock" in stops.cause.message
        assert senses.newest() is None
