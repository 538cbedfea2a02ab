"""Where the hand is for joint angles, and which joint angles bring it somewhere, pointing down: in closed form.

In the vertical plane of the arm, with a = lift, b = lift + elbow, c = lift + elbow + wrist:

    distance = OFFSET + UPPER sin a + FOREARM cos b + HAND cos c
    height = SHOULDER + UPPER cos a - FOREARM sin b - HAND sin c
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["REACH_M", "Grip", "grip_of", "joints_above", "reach_of"]

SHOULDER_M: Final = 0.117
"""Height of the shoulder's axis over the table."""
OFFSET_M: Final = 0.03
"""From the axis that pans to the axis that lifts."""
UPPER_M: Final = 0.116
FOREARM_M: Final = 0.135
HAND_M: Final = 0.098
"""From the wrist to the point between the jaws."""
REACH_M: Final = UPPER_M + FOREARM_M - 0.002
"""Of the wrist from the shoulder; a straight arm has two solutions for one place."""


class Grip(NamedTuple):
    """The point between the jaws, in metres from the base."""

    x: float
    y: float
    z: float


def grip_of(joints_deg: npt.NDArray[Any]) -> Grip:
    """Where the point between the jaws is, of the five joints in degrees."""
    pan, lift, elbow, wrist = (math.radians(float(joint)) for joint in joints_deg[:4])
    forearm, hand = lift + elbow, lift + elbow + wrist
    distance = OFFSET_M + UPPER_M * math.sin(lift) + FOREARM_M * math.cos(forearm) + HAND_M * math.cos(hand)
    height = SHOULDER_M + UPPER_M * math.cos(lift) - FOREARM_M * math.sin(forearm) - HAND_M * math.sin(hand)
    return Grip(distance * math.cos(pan), distance * math.sin(pan), height)


def joints_above(x: float, y: float, z: float) -> npt.NDArray[np.float64]:
    """The five joints in degrees that hold the hand there, pointing straight down, its roll at 0.

    What is too far away is held at the length of the arm, in the same direction.
    """
    distance, height = math.hypot(x, y) - OFFSET_M, z + HAND_M - SHOULDER_M
    length = min(max(math.hypot(distance, height), FOREARM_M - UPPER_M + 0.002), REACH_M)
    turn = math.acos((length**2 - UPPER_M**2 - FOREARM_M**2) / (2 * UPPER_M * FOREARM_M))
    ahead = math.atan2(FOREARM_M * math.sin(turn), UPPER_M + FOREARM_M * math.cos(turn))
    lift = math.pi / 2 - math.atan2(height, distance) - ahead
    elbow = turn - math.pi / 2
    wrist = math.pi / 2 - lift - elbow
    return np.degrees([math.atan2(y, x), lift, elbow, wrist, 0.0])


def reach_of(x: float, y: float, z: float) -> float:
    """How far the wrist is from the shoulder when the hand points down there; at most REACH_M can be had."""
    return math.hypot(math.hypot(x, y) - OFFSET_M, z + HAND_M - SHOULDER_M)
