"""The arm's axes: degrees and percent as policies and connectors speak them, radians as the physics has them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex.embodiments import load_embodiment

__all__ = ["AXES", "EMBODIMENT", "GRIPPER", "SIMULATED", "UNITS", "to_radians", "to_units"]

SIMULATED: Final = load_embodiment("so101_sim")
EMBODIMENT: Final = SIMULATED.name
AXES: Final = SIMULATED.action_names
UNITS: Final = SIMULATED.action_units
GRIPPER: Final = AXES.index("gripper")
GRIPPER_TRAVEL_DEG: Final = 110.0
"""From closed (0 percent) to open (100 percent), as an SO-101's."""
_RADIANS_PER_UNIT: Final = np.radians([1.0] * GRIPPER + [GRIPPER_TRAVEL_DEG / 100.0])
_LOW: Final = np.array(SIMULATED.action_low)
_HIGH: Final = np.array(SIMULATED.action_high)

Values = npt.NDArray[Any]


def to_radians(values: Values) -> npt.NDArray[np.float64]:
    """Joint angles of positions in the embodiment's units, along the last axis."""
    radians: npt.NDArray[np.float64] = np.asarray(values, np.float64) * _RADIANS_PER_UNIT
    return radians


def to_units(radians: Values) -> npt.NDArray[np.float32]:
    """The reverse. A joint that is pressed a hair beyond its end stop reads as the end stop."""
    units: npt.NDArray[np.float64] = np.asarray(radians, np.float64) / _RADIANS_PER_UNIT
    return np.clip(units, _LOW, _HIGH).astype(np.float32)
