"""An observation is sent only while every picture and the state are young enough."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reflex.connector import CameraFrame, Observation
from reflex_runner.motion.usable import MOST_AHEAD_S, why_unusable
from support.runner.arms import pose


def why(state_age_s: float = 0.0, **image_ages_s: float) -> str | None:
    picture = np.zeros((2, 2, 3), np.uint8)
    cameras = {name: CameraFrame(picture, 100.0 - age_s) for name, age_s in image_ages_s.items()}
    return why_unusable(Observation(pose(0, 0), cameras, None, 100.0 - state_age_s), 100.0, 0.125, {"wrist": 0.25})


def test_a_young_observation_is_sent() -> None:
    assert why() is None
    assert why(0.25, wrist=0.25, front=0.5) is None


def test_a_picture_that_is_as_far_ahead_as_two_readings_may_differ_is_sent() -> None:
    frame = CameraFrame(np.zeros((2, 2, 3), np.uint8), MOST_AHEAD_S)
    assert why_unusable(Observation(pose(0, 0), {"front": frame}, None, 0.0), 0.0, 0.125, {}) is None


@pytest.mark.parametrize("age_s", [0.2501, 3.0, math.inf, math.nan])
def test_a_state_older_than_two_periods_is_not(age_s: float) -> None:
    told = why(age_s)
    assert told is not None
    assert "state is" in told
    assert "more than 2 control periods" in told


@pytest.mark.parametrize(("camera", "age_s"), [("wrist", 0.2501), ("front", 0.5001), ("front", math.inf)])
def test_a_picture_older_than_its_own_limit_is_not_and_the_camera_is_named(camera: str, age_s: float) -> None:
    told = why(**{camera: age_s})
    assert told is not None
    assert told.startswith(f"camera {camera}'s picture is")
    assert "max_image_age_ms" in told


@pytest.mark.parametrize("ahead_s", [0.002, 1.7e9])
def test_a_picture_of_the_future_which_would_never_grow_old_is_not(ahead_s: float) -> None:
    told = why(front=-ahead_s)
    assert told is not None
    assert told.startswith("camera front's picture is dated")
    assert "in the future" in told
    assert why(front=-0.0005) is None
