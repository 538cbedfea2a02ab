"""The cube and the hand: a grasp without contact forces.

Jaws that close within GRASP_M of the cube's middle carry it until they open; the arm passes through the cube otherwise.
That is a simplification: nothing slips, nothing is pushed, and no success here says what friction would do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["GRASP_M", "HALF_SIDE_M", "HELD_PERCENT", "LIFTED_M", "Cube"]

Vector = npt.NDArray[np.float64]

HALF_SIDE_M: Final = 0.0125
GRASP_M: Final = 0.015
"""How near the point between the jaws must be to the cube's middle when they close."""
HELD_PERCENT: Final = 18.0
"""Of the gripper, with its jaws on two sides of the cube: a held cube keeps them so far apart."""
RELEASED_PERCENT: Final = 24.0
LIFTED_M: Final = 0.06
"""Success: the cube is so far over the table."""
GRAVITY_M_PER_S2: Final = 9.81


@dataclass
class Cube:
    """Where it is, whether the hand has it, and how fast it falls when not."""

    middle: Vector
    yaw_rad: float = 0.0
    is_held: bool = False
    falling_m_per_s: float = 0.0
    _jaws_were_open: bool = True

    @property
    def is_lifted(self) -> bool:
        """Whether the task is done."""
        return self.is_held and float(self.middle[2]) - HALF_SIDE_M >= LIFTED_M

    def follow(self, grip: Vector, gripper_percent: float, duration_s: float) -> None:
        """Go on by a moment in which the hand came to `grip`."""
        if gripper_percent >= RELEASED_PERCENT:
            self.is_held = False
        elif gripper_percent <= HELD_PERCENT + 1.0 and self._jaws_were_open:
            self.is_held = bool(np.linalg.norm(grip - self.middle) <= GRASP_M)
            self._jaws_were_open = False
        self._jaws_were_open |= gripper_percent >= RELEASED_PERCENT
        if self.is_held:
            self._be_carried(grip)
        else:
            self._fall(duration_s)

    def _be_carried(self, grip: Vector) -> None:
        self.middle = np.array([grip[0], grip[1], max(float(grip[2]), HALF_SIDE_M)])
        self.falling_m_per_s = 0.0

    def _fall(self, duration_s: float) -> None:
        self.falling_m_per_s += GRAVITY_M_PER_S2 * duration_s
        height = float(self.middle[2]) - self.falling_m_per_s * duration_s
        if height <= HALF_SIDE_M:
            height, self.falling_m_per_s = HALF_SIDE_M, 0.0
        self.middle = np.array([self.middle[0], self.middle[1], height])
