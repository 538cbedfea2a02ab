from __future__ import annotations

import numpy as np
import pytest

from reflex_analysis.motion.arm import Arm


def test_it_comes_to_rest_at_its_command_and_never_beyond() -> None:
    arm = Arm(np.array([0.0, 1.0]))
    goal = np.array([1.0, -1.0])
    course = []
    for _ in range(100):
        arm.follow(goal, 0.02)
        course.append(arm.positions)

    assert np.all(np.stack(course)[:, 0] <= 1.0)
    assert np.all(np.stack(course)[:, 1] >= -1.0)
    assert arm.positions == pytest.approx(goal, abs=1e-9)
    assert arm.velocities == pytest.approx([0.0, 0.0], abs=1e-7)


def test_a_step_is_followed_to_nine_tenths_in_about_0_15_s() -> None:
    arm = Arm(np.zeros(1))
    arm.follow(np.ones(1), 0.155)

    assert arm.positions[0] == pytest.approx(0.9, abs=0.01)


def test_the_length_of_a_step_changes_nothing() -> None:
    once, often = Arm(np.zeros(1)), Arm(np.zeros(1))
    once.follow(np.ones(1), 0.1)
    for _ in range(1000):
        often.follow(np.ones(1), 0.0001)

    assert often.positions == pytest.approx(once.positions)
    assert often.velocities == pytest.approx(once.velocities)


def test_where_it_is_put_it_rests() -> None:
    arm = Arm(np.zeros(1))
    arm.follow(np.ones(1), 0.05)
    arm.place(np.array([3.0]))
    arm.follow(np.array([3.0]), 0.02)

    assert arm.positions == pytest.approx([3.0])
