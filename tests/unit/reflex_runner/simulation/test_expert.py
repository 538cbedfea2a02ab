from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from reflex.guard import ActionGuard
from reflex_runner.simulation.axes import GRIPPER, SIMULATED
from reflex_runner.simulation.expert import CHUNK_STEPS, SPEED, Sight, action_of, chunk_of, goal_of
from reflex_runner.simulation.geometry import grip_of, joints_above
from reflex_runner.simulation.start import draw_start
from reflex_runner.simulation.trial import pick

CUBE = np.array([0.19, 0.05, 0.0125])
SEEN = Sight(CUBE, is_held=False)
LOW, HIGH = np.array(SIMULATED.action_low), np.array(SIMULATED.action_high)


def over_the_cube(height: float, gripper: float) -> npt.NDArray[Any]:
    return np.array([*joints_above(CUBE[0], CUBE[1], height), gripper])


@pytest.mark.parametrize("seed", range(6))
def test_the_expert_picks_the_cube_up_through_the_guard_which_has_nothing_to_change(seed: int) -> None:
    trial = pick(seed)
    assert trial.is_lifted
    assert trial.clamped == 0


@pytest.mark.parametrize("seed", range(3))
def test_it_does_so_too_when_its_chunks_are_executed_whole_and_the_arm_is_pushed(seed: int) -> None:
    assert pick(seed, chunk_steps=8, noise_units=2.0).is_lifted


def test_the_same_state_and_cube_give_the_same_action_whenever_they_are() -> None:
    pose = draw_start(5).pose
    np.testing.assert_array_equal(action_of(pose, SEEN), action_of(pose.copy(), SEEN))


@pytest.mark.parametrize("seed", range(20))
def test_an_action_is_a_bounded_way_from_the_state_and_within_the_range(seed: int) -> None:
    random = np.random.default_rng(seed)
    state = random.uniform(LOW, HIGH)
    cube = np.array([random.uniform(-0.4, 0.4), random.uniform(-0.4, 0.4), 0.0125])
    for held in (False, True):
        action = action_of(state, Sight(cube, held))
        assert (np.abs(action - state) <= SPEED + 1e-9).all()
        assert (action >= LOW).all()
        assert (action <= HIGH).all()


@pytest.mark.parametrize("seed", range(10))
def test_a_chunk_begins_with_the_action_and_stays_within_the_guards_steps(seed: int) -> None:
    pose = draw_start(seed).pose
    chunk = chunk_of(pose, SEEN)
    assert chunk.shape == (CHUNK_STEPS, 6)
    np.testing.assert_allclose(chunk[0], action_of(pose, SEEN), rtol=1e-6)
    assert not ActionGuard(SIMULATED).check(chunk, previous=pose).clamped


def test_it_hovers_lowers_closes_and_lifts() -> None:
    aside, above = draw_start(0).pose, over_the_cube(0.06, 48.0)
    around, closed_above = over_the_cube(CUBE[2], 48.0), over_the_cube(0.06, 5.0)
    hover, lowered, closed = goal_of(aside, SEEN), goal_of(above, SEEN), goal_of(around, SEEN)
    lifted = goal_of(over_the_cube(CUBE[2], 18.0), Sight(CUBE, is_held=True))

    for goal in (hover, lowered, closed, lifted):
        np.testing.assert_allclose(grip_of(goal)[:2], CUBE[:2], atol=1e-6)
    assert [grip_of(goal).z > 0.06 for goal in (hover, lowered, closed, lifted)] == [True, False, False, True]
    assert [goal[GRIPPER] > 40 for goal in (hover, lowered, closed, lifted)] == [True, True, False, False]
    assert goal_of(closed_above, SEEN)[GRIPPER] > 40, "a closed hand opens before it is lowered"
    assert grip_of(goal_of(closed_above, SEEN)).z > 0.06


def test_no_goal_is_beyond_the_embodiments_range() -> None:
    for seed in range(100):
        x, y = draw_start(seed).cube_xy_m
        goal = goal_of(draw_start(seed).pose, Sight(np.array([x, y, 0.0125]), is_held=False))
        assert (goal >= LOW).all()
        assert (goal <= HIGH).all()
