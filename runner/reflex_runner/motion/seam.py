"""`Seam`: the way from where the robot is commanded now to where a new chunk would have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["EASE_SHARE", "SEAM_SHARE", "Seam", "seam_between"]

Pose = npt.NDArray[np.float64]
SEAM_SHARE: Final = 0.5
"""Of the top speed, to close a gap between two chunks: the rest is left for the motion itself."""
EASE_SHARE: Final = 0.25
"""The same from the pose that was measured at the start, when nobody knows yet how the policy behaves."""


@dataclass(frozen=True, slots=True, eq=False)
class Seam:
    """The gap at `began_s`, which fades away in a straight line until `ends_s`."""

    gap: Pose
    began_s: float
    ends_s: float

    def closed_by(self, now: float, wanted: Pose) -> Pose:
        """`wanted`, nearer to where the robot came from by what is left of the gap."""
        left = (self.ends_s - now) / (self.ends_s - self.began_s)
        shifted: Pose = wanted + self.gap * min(max(left, 0.0), 1.0)
        return shifted


def seam_between(commanded: Pose, wanted: Pose, began_s: float, at_least_s: float, speed: Pose) -> Seam:
    """From the last command to what the new chunk says for the same moment.

    It lasts `at_least_s`, and longer where an axis would have to go faster than `speed` (units per second) for it.
    """
    gap: Pose = commanded - wanted
    lasts_s = max(at_least_s, float(np.max(np.abs(gap) / speed)))
    return Seam(gap, began_s, began_s + lasts_s)
