from __future__ import annotations

import numpy as np

from reflex.connector import CameraFrame, Observation
from reflex_runner.loop.step_time import StepTime

PICTURE = np.zeros((4, 4, 3), np.uint8)
STATE = np.zeros(6, np.float32)


def seen(state_s: float, picture_s: float) -> Observation:
    return Observation(STATE, {"front": CameraFrame(PICTURE, picture_s)}, captured_s=state_s)


def test_time_stands_until_somebody_sleeps_and_never_goes_back() -> None:
    time = StepTime(10.0)
    assert time.now() == time.now() == 10.0
    time.sleep_until(10.5)
    time.sleep_until(9.0)
    assert time.now() == 10.5


def test_what_is_new_is_of_now_and_what_comes_again_keeps_its_moment() -> None:
    time = StepTime(10.0)
    first = time.dated(seen(1000.0, 2000.0))
    time.sleep_until(11.0)
    frozen = time.dated(seen(1000.1, 2000.0))
    assert (first.captured_s, first.cameras["front"].captured_s) == (10.0, 10.0)
    assert (frozen.captured_s, frozen.cameras["front"].captured_s) == (11.0, 10.0)
    assert time.frames()["front"].captured_s == 10.0
    assert frozen.cameras["front"].image is PICTURE
