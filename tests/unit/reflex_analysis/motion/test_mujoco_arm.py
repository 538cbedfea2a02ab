from __future__ import annotations

import numpy as np
import pytest

from reflex.embodiments import load_embodiment
from reflex_analysis.motion.arm import Vector
from reflex_analysis.motion.mujoco_arm import MujocoArm

ROBOT = load_embodiment("so101")
LOW, HIGH = np.array(ROBOT.action_low), np.array(ROBOT.action_high)
MIDDLE, HALF = (LOW + HIGH) / 2.0, (HIGH - LOW) / 2.0


def arm(at: float = 0.0) -> MujocoArm:
    return MujocoArm(MIDDLE + at * HALF, LOW, HIGH)


def shares(of: MujocoArm) -> Vector:
    found: Vector = (of.positions - MIDDLE) / HALF
    return found


def moved(of: MujocoArm, goal: Vector, periods: int, seconds: float = 0.02) -> Vector:
    """[periods, axes] shares of the range, after each of so many periods."""
    course = []
    for _ in range(periods):
        of.follow(MIDDLE + goal * HALF, seconds)
        course.append(shares(of))
    return np.stack(course)


def test_it_comes_to_rest_at_its_command_in_the_units_of_its_axes() -> None:
    goal = np.array([0.5, -0.5, 0.3, 0.8, -0.2, 0.1])

    assert moved(arm(), goal, 100)[-1] == pytest.approx(goal, abs=1e-3)


def test_it_lags_behind_like_a_servo_and_overshoots_by_little() -> None:
    course = moved(arm(), np.full(6, 0.5), 50)

    assert np.all(course[2] < 0.3)
    assert np.all(course[7:] > 0.35)
    assert course.max() < 0.65


def test_what_one_joint_does_the_others_feel() -> None:
    pushed = moved(arm(), np.array([0.8, 0.0, 0.0, 0.0, 0.0, 0.0]), 10)

    assert np.abs(pushed[:, 1:]).max() > 0.01


def test_it_stays_where_it_is_put_and_is_commanded_to_stay() -> None:
    one = arm()
    moved(one, np.full(6, 0.5), 3)
    one.place(MIDDLE - 0.25 * HALF)
    assert shares(one) == pytest.approx(-0.25)

    assert moved(one, np.full(6, -0.25), 20)[-1] == pytest.approx(-0.25, abs=1e-9)


@pytest.mark.parametrize("hz", [1.0, 30.0, 1000.0])
def test_the_control_rate_changes_no_motion_and_breaks_nothing(hz: float) -> None:
    course = moved(arm(), np.full(6, 0.5), round(2 * hz), 1.0 / hz)

    assert np.isfinite(course).all()
    assert course[-1] == pytest.approx(0.5, abs=1e-3)
    at_half_a_second = course[round(hz / 2) - 1] if hz > 1.0 else None
    if at_half_a_second is not None:
        assert at_half_a_second == pytest.approx(moved(arm(), np.full(6, 0.5), 500, 0.001)[-1], abs=0.01)
