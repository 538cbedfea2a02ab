"""The arm: every axis is a mass on a position servo, which follows its command as a critically damped spring."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Arm", "Vector"]

Vector = npt.NDArray[np.float64]

SERVO_HZ: Final = 4.0
"""Natural frequency: a step is followed to 90 % in 0.15 s, about what servos of small arms do."""


class Arm:
    """Position and velocity of each axis, in its own unit. A command holds until the next one."""

    def __init__(self, positions: Vector, servo_hz: float = SERVO_HZ) -> None:
        self._pull = 2.0 * math.pi * servo_hz
        self.place(positions)

    def place(self, positions: Vector) -> None:
        """Put it there, at rest."""
        self.positions = np.array(positions, dtype=np.float64)
        self.velocities = np.zeros_like(self.positions)

    def follow(self, command: Vector, seconds: float) -> None:
        """Move towards `command` for so long: the exact solution, whatever the length of the step."""
        offset = self.positions - command
        drift = self.velocities + self._pull * offset
        decay = math.exp(-self._pull * seconds)
        self.positions = command + (offset + drift * seconds) * decay
        self.velocities = (self.velocities - self._pull * drift * seconds) * decay
