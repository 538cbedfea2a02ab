from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from reflex_runner.errors import HardwareError
from reflex_runner.simulation.axes import AXES, GRIPPER, SIMULATED
from reflex_runner.simulation.cube import HALF_SIDE_M, HELD_PERCENT
from reflex_runner.simulation.geometry import joints_above
from reflex_runner.simulation.world import CONTROL_PERIOD_S, Wanted, World

Pose = npt.NDArray[Any]
PAN = np.array([60.0, 0.0, 0.0, 0.0, 0.0, 0.0])
FREE = np.array([0.0, -40.0, 40.0, 30.0, 0.0, 50.0])


@pytest.fixture(scope="module")
def shared() -> World:
    return World(varied_looks=True)


@pytest.fixture
def world(shared: World) -> World:
    shared.reset(0)
    return shared


def settle(world: World, goal: Pose, seconds: float = 1.0) -> None:
    world.command(goal)
    world.advance(seconds)


def pose_at(x: float, y: float, z: float, gripper: float) -> Pose:
    return np.array([*joints_above(x, y, z), gripper])


def test_an_arm_that_nobody_commands_stays_where_it_is(world: World) -> None:
    before = world.state()
    world.advance(2.0)
    np.testing.assert_allclose(world.state(), before, atol=0.05)
    assert world.time_s == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("axis", range(len(AXES)))
def test_each_axis_goes_where_it_is_told_and_takes_the_others_nowhere(world: World, axis: int) -> None:
    settle(world, FREE)
    goal = world.state()
    goal[axis] += 20.0
    settle(world, goal)
    np.testing.assert_allclose(world.state(), goal, atol=0.2)


def test_an_arm_moves_no_faster_than_a_servo(world: World) -> None:
    settle(world, FREE)
    before = world.state()
    world.command(before + np.float32(5.0))
    world.advance(CONTROL_PERIOD_S)
    moved = world.state() - before
    assert (moved > 0.5).all()
    assert (moved < np.array(SIMULATED.action_max_step)).all()


def test_hold_leaves_a_moving_arm_where_it_is(world: World) -> None:
    settle(world, FREE - PAN)
    world.command(FREE + PAN)
    world.advance(0.1)
    at = world.state()[0]
    world.hold()
    world.advance(1.0)
    assert abs(world.state()[0] - at) < 5.0


def test_the_same_seed_and_commands_end_in_the_same_place_to_the_last_bit(world: World) -> None:
    ends = []
    for _ in range(2):
        world.reset(11)
        for step in range(30):
            world.command(np.array([step, -30.0, 30.0, 45.0, 0.0, 50.0]))
            world.advance(CONTROL_PERIOD_S)
        ends.append((world.state(), world.grip))
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    np.testing.assert_array_equal(ends[0][1], ends[1][1])


def test_a_cube_is_picked_up_carried_and_put_down(world: World) -> None:
    x, y, _ = world.cube.middle
    settle(world, pose_at(x, y, 0.08, 50.0), 2.0)
    settle(world, pose_at(x, y, HALF_SIDE_M, 50.0))
    settle(world, pose_at(x, y, HALF_SIDE_M, 0.0))
    held_at_the_table = (world.cube.is_held, world.cube.is_lifted)
    assert held_at_the_table == (True, False)
    assert world.state()[GRIPPER] == pytest.approx(HELD_PERCENT, abs=4.0), "what is held keeps the jaws apart"
    settle(world, pose_at(x, y, 0.1, 0.0))
    assert world.cube.is_lifted
    np.testing.assert_allclose(world.data.mocap_pos[0], world.cube.middle)
    settle(world, pose_at(x, y, 0.1, 50.0))
    let_go = (world.cube.is_held, world.cube.middle[2], world.has_lifted)
    assert let_go == (False, HALF_SIDE_M, True)
    world.reset(0)
    assert world.has_lifted is False


def test_an_empty_hand_closes_all_the_way(world: World) -> None:
    settle(world, np.array([0.0, -40.0, 40.0, 30.0, 0.0, 0.0]))
    assert world.state()[GRIPPER] < 1.0


def test_the_table_stops_the_hand(world: World) -> None:
    settle(world, pose_at(0.2, 0.0, 0.05, 50.0), 2.0)
    settle(world, pose_at(0.2, 0.0, -0.08, 50.0), 2.0)
    assert world.grip[2] > -0.005


def test_a_jammed_axis_stands_until_the_next_reset_and_the_others_move(world: World) -> None:
    settle(world, FREE)
    at = world.state()[2]
    world.jam("elbow_flex")
    bent = np.array([20.0, -40.0, 60.0, 30.0, 0.0, 50.0])
    settle(world, bent)
    assert world.state()[2] == pytest.approx(at, abs=0.01)
    assert world.state()[0] == pytest.approx(20.0, abs=0.2)
    world.reset(0)
    settle(world, bent)
    assert world.state()[2] == pytest.approx(60.0, abs=0.2)


@pytest.mark.parametrize(
    "action", [np.full(6, np.nan), np.array([0, 0, np.inf, 0, 0, 0]), np.zeros(5), np.zeros((1, 6))]
)
def test_a_command_that_is_no_pose_is_refused(world: World, action: Pose) -> None:
    with pytest.raises(HardwareError, match="6 finite numbers"):
        world.command(action)


def test_the_rest_pose_of_the_stop_ladder_is_clear_of_the_table(world: World) -> None:
    ladder = SIMULATED.stop_ladder
    assert ladder is not None
    assert ladder.rest_pose is not None
    settle(world, np.array(ladder.rest_pose), 2.0)
    np.testing.assert_allclose(world.state(), ladder.rest_pose, atol=0.2)
    assert world.data.ncon == 0


def test_a_command_for_later_is_followed_at_its_moment_and_a_new_one_takes_its_place(world: World) -> None:
    settle(world, FREE)
    world.command(FREE)
    world.command(FREE + PAN / 3, after_s=0.5)
    world.advance(0.45)
    assert world.state()[0] == pytest.approx(0.0, abs=0.2)
    world.advance(1.0)
    assert world.state()[0] == pytest.approx(20.0, abs=0.2)
    world.command(FREE, after_s=0.5)
    world.command(FREE + PAN / 6)
    world.advance(1.5)
    assert world.state()[0] == pytest.approx(10.0, abs=0.2)


def test_a_delay_holds_commands_back_in_their_order(world: World) -> None:
    settle(world, FREE)
    world.delay_s = 0.2
    try:
        world.command(FREE + PAN / 3)
        world.advance(0.15)
        assert world.state()[0] == pytest.approx(0.0, abs=0.1)
        world.command(FREE)
        world.advance(0.15)
        assert world.state()[0] > 3.0, "the first one is followed although another came"
    finally:
        world.delay_s = 0.0


def test_hold_forgets_what_was_commanded_for_later(world: World) -> None:
    settle(world, FREE)
    world.command(FREE + PAN, after_s=0.3)
    world.hold()
    world.advance(1.0)
    assert world.state()[0] == pytest.approx(0.0, abs=0.2)


def test_an_arm_comes_to_its_rest_pose_with_the_cube_in_its_hand(world: World) -> None:
    ladder = SIMULATED.stop_ladder
    assert ladder is not None
    assert ladder.rest_pose is not None
    x, y, _ = world.cube.middle
    for height, gripper in ((0.08, 50.0), (HALF_SIDE_M, 50.0), (HALF_SIDE_M, 0.0), (0.1, 0.0)):
        settle(world, pose_at(x, y, height, gripper), 1.5)
    settle(world, np.array(ladder.rest_pose), 2.0)
    assert world.cube.is_held
    np.testing.assert_allclose(world.state(), ladder.rest_pose, atol=0.5)


def test_a_second_cube_changes_neither_the_first_nor_the_arm(world: World) -> None:
    both = World(3, wanted="red")
    world.reset(3)
    np.testing.assert_array_equal(both.state(), world.state())
    np.testing.assert_array_equal(both.cube.middle, world.cube.middle)
    assert (world.data.mocap_pos.shape, both.data.mocap_pos.shape) == ((1, 3), (2, 3))


@pytest.mark.parametrize(("wanted", "is_done"), [("red", False), ("green", True)])
def test_of_two_cubes_the_wanted_one_is_to_be_lifted(wanted: Wanted, is_done: bool) -> None:
    both = World(3, wanted=wanted)
    x, y, _ = both.data.mocap_pos[int(both.model.body("second_cube").mocapid[0])]
    for height, gripper in ((0.08, 50.0), (HALF_SIDE_M, 50.0), (HALF_SIDE_M, 0.0), (0.1, 0.0)):
        settle(both, pose_at(x, y, height, gripper), 2.0)
    assert both.data.mocap_pos[1][2] > HALF_SIDE_M * 2, "the green one is in the hand"
    assert both.state()[GRIPPER] == pytest.approx(HELD_PERCENT, abs=4.0)
    assert both.has_lifted == is_done
