from __future__ import annotations

import math

import numpy as np
import pytest

from reflex_runner.simulation.axes import to_radians
from reflex_runner.simulation.geometry import REACH_M, grip_of, joints_above, reach_of
from reflex_runner.simulation.world import World

PLACES = [(0.15, 0.0, 0.0125), (0.23, 0.0, 0.0125), (0.1, 0.15, 0.05), (0.16, -0.16, 0.09), (0.2, 0.05, 0.1)]


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.mark.parametrize("seed", range(5))
def test_the_closed_form_and_the_scene_put_the_hand_in_the_same_place(world: World, seed: int) -> None:
    world.reset(seed)
    np.testing.assert_allclose(grip_of(world.state()), world.grip, atol=1e-6)


@pytest.mark.parametrize("place", PLACES)
def test_the_inverse_is_the_inverse_and_points_straight_down(place: tuple[float, float, float]) -> None:
    joints = joints_above(*place)
    np.testing.assert_allclose(grip_of(joints), place, atol=1e-9)
    assert joints[1:4].sum() == pytest.approx(90.0), "lift, elbow and wrist together point the hand down"
    assert joints[4] == 0.0


@pytest.mark.parametrize("place", PLACES)
def test_every_place_that_a_cube_can_lie_at_is_within_the_joints_ranges(
    world: World, place: tuple[float, float, float]
) -> None:
    radians = to_radians(np.array([*joints_above(*place), 0.0]))
    assert (radians >= world.model.jnt_range[:, 0]).all()
    assert (radians <= world.model.jnt_range[:, 1]).all()


def test_what_is_too_far_is_held_at_the_length_of_the_arm_in_its_direction() -> None:
    assert reach_of(0.5, 0.5, 0.1) > REACH_M
    x, y, _ = grip_of(joints_above(0.5, 0.5, 0.1))
    assert math.atan2(y, x) == pytest.approx(math.pi / 4)
    assert np.isfinite(joints_above(0.03, 0.0, 0.019)).all(), "nor is the shoulder itself a place of no answer"
