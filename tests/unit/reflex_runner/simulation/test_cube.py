from __future__ import annotations

import numpy as np
import pytest

from reflex_runner.simulation.cube import GRASP_M, HALF_SIDE_M, HELD_PERCENT, LIFTED_M, Cube

STEP_S = 1 / 240
LYING = np.array([0.2, 0.0, HALF_SIDE_M])


def closed_around(offset_m: float) -> Cube:
    cube = Cube(LYING.copy())
    hand = LYING + np.array([offset_m, 0.0, 0.0])
    cube.follow(hand, 45.0, STEP_S)
    cube.follow(hand, HELD_PERCENT, STEP_S)
    return cube


def test_jaws_that_close_around_the_cube_carry_it_until_they_open() -> None:
    cube = closed_around(0.0)
    assert cube.is_held
    up = LYING + np.array([0.0, 0.05, 0.09])
    cube.follow(up, HELD_PERCENT, STEP_S)
    np.testing.assert_array_equal(cube.middle, up)
    cube.follow(up, 45.0, STEP_S)
    assert not cube.is_held


@pytest.mark.parametrize(("offset_m", "held"), [(0.9 * GRASP_M, True), (1.1 * GRASP_M, False)])
def test_jaws_that_close_beside_the_cube_carry_nothing(offset_m: float, held: bool) -> None:
    assert closed_around(offset_m).is_held is held


def test_closed_jaws_that_come_to_the_cube_do_not_have_it() -> None:
    cube = Cube(LYING.copy())
    for hand in (LYING + 0.2, LYING):
        cube.follow(hand, 0.0, STEP_S)
    assert not cube.is_held
    cube.follow(LYING, 45.0, STEP_S)
    cube.follow(LYING, HELD_PERCENT, STEP_S)
    assert cube.is_held, "but once they have opened they can close"


def test_a_released_cube_falls_as_things_fall_and_lies_on_the_table() -> None:
    cube = Cube(np.array([0.2, 0.0, 0.1 + HALF_SIDE_M]))
    far = np.array([0.0, 0.0, 0.3])
    for _ in range(24):  # a tenth of a second
        cube.follow(far, 45.0, STEP_S)
    assert 0.1 + HALF_SIDE_M - cube.middle[2] == pytest.approx(0.5 * 9.81 * 0.1**2, rel=0.1)
    for _ in range(240):
        cube.follow(far, 45.0, STEP_S)
    assert cube.middle[2] == HALF_SIDE_M


@pytest.mark.parametrize(("height_m", "done"), [(LIFTED_M - 0.001, False), (LIFTED_M + 0.001, True)])
def test_success_is_a_held_cube_six_centimetres_over_the_table(height_m: float, done: bool) -> None:
    cube = closed_around(0.0)
    up = LYING + np.array([0.0, 0.0, height_m])
    cube.follow(up, HELD_PERCENT, STEP_S)
    assert cube.is_lifted is done
    cube.is_held = False
    assert not cube.is_lifted, "a cube that is thrown is not lifted"


def test_a_cube_is_not_carried_into_the_table() -> None:
    cube = closed_around(0.0)
    cube.follow(LYING - np.array([0.0, 0.0, 0.03]), HELD_PERCENT, STEP_S)
    assert cube.middle[2] == HALF_SIDE_M
