"""The scripted expert: a function of what is, not of time, so that its chunk is a plan from wherever the arm is.

    action = state + clip(goal - state, the speed), held to the embodiment's range

The goal is, of the first that fits: the cube in the hand, above where it was; the jaws around the cube, closed; the
hand above the cube, lowered; anywhere else, above the cube with open jaws. It knows where the cube
is, as no policy does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_runner.simulation.axes import GRIPPER, SIMULATED
from reflex_runner.simulation.cube import HELD_PERCENT
from reflex_runner.simulation.geometry import REACH_M, grip_of, joints_above, reach_of

__all__ = ["CHUNK_STEPS", "Sight", "action_of", "chunk_of", "goal_of"]

FloatArray = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]

CHUNK_STEPS: Final = 16
SPEED: Final = 0.485 * np.array(SIMULATED.action_max_step)
"""Units that an action may be away from the state: from one way to the opposite is within the embodiment's step."""
FOLLOWED: Final = 0.5
"""Share of that way that the servos go in a period: what makes a chunk go on as the arm will."""
OPEN_PERCENT: Final = 48.0
ENOUGH_OPEN_PERCENT: Final = 36.0
HOVER_M: Final = 0.075
LIFT_M: Final = 0.095
ABOVE_M: Final = 0.012
"""The hand is above the cube when it is so near to it, seen from above."""
AROUND_M: Final = 0.007
"""The jaws are around it, and close, when the hand is so near to it in height as well."""
STILL_AROUND_M: Final = 0.013
"""And so near they go on closing: an arm that trembles would open them again and again."""
_LOW: Final = np.array(SIMULATED.action_low)
_HIGH: Final = np.array(SIMULATED.action_high)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What the expert knows beside the state."""

    cube: Vector
    """Its middle, in metres from the base."""
    is_held: bool


def action_of(state: npt.NDArray[Any], sight: Sight) -> Vector:
    """The command for that state, in the embodiment's units."""
    goal = goal_of(state, sight)
    action: Vector = np.clip(state + np.clip(goal - state, -SPEED, SPEED), _LOW, _HIGH)
    return action


def chunk_of(state: npt.NDArray[Any], sight: Sight, steps: int = CHUNK_STEPS) -> FloatArray:
    """The command now and those of the steps after it, as they would be if the arm follows."""
    at, actions = np.asarray(state, np.float64), []
    for _ in range(steps):
        actions.append(action_of(at, sight))
        at, sight = _after(at, actions[-1], sight)
    return np.array(actions, np.float32)


def goal_of(state: npt.NDArray[Any], sight: Sight) -> Vector:
    """The pose that the arm is to go to from there, in the embodiment's units."""
    grip, cube = np.array(grip_of(state)), sight.cube
    if sight.is_held:
        return _pose(grip[:2], LIFT_M, 0.0)
    aside, over = float(np.linalg.norm(grip[:2] - cube[:2])), abs(grip[2] - cube[2])
    if _is_closing(float(state[GRIPPER])) and max(aside, over) <= STILL_AROUND_M:
        return _pose(cube[:2], float(cube[2]), 0.0)
    if max(aside, over) <= AROUND_M:
        return _pose(cube[:2], float(cube[2]), 0.0)
    if aside <= ABOVE_M and state[GRIPPER] >= ENOUGH_OPEN_PERCENT:
        return _pose(cube[:2], float(cube[2]), OPEN_PERCENT)
    return _pose(cube[:2], float(cube[2]) + HOVER_M, OPEN_PERCENT)


def _is_closing(gripper: float) -> bool:
    return HELD_PERCENT - 1.0 < gripper < OPEN_PERCENT - 4.0


def _pose(xy: Vector, height: float, gripper: float) -> Vector:
    x, y = float(xy[0]), float(xy[1])
    while reach_of(x, y, height) > REACH_M and height > 0.0:
        height -= 0.005
    return np.array([*joints_above(x, y, height), gripper])


def _after(state: Vector, action: Vector, sight: Sight) -> tuple[Vector, Sight]:
    moved = state + FOLLOWED * (action - state)
    closed = moved[GRIPPER] <= HELD_PERCENT + 1.0 and action[GRIPPER] < state[GRIPPER]
    if not sight.is_held and closed and np.linalg.norm(np.array(grip_of(moved)) - sight.cube) <= AROUND_M * 2:
        return moved, Sight(sight.cube, is_held=True)
    return moved, sight
