"""`Hands`: the only thing in a run that can move the robot. In dry_run there is none, and nothing else has `apply`."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from reflex.connector import ActionChunk, Connector
from reflex_runner.errors import HardwareError
from reflex_runner.motion.descent import Act

__all__ = ["Hands", "Mode", "hands_for"]

Mode = Literal["dry_run", "apply_actions"]


class Hands:
    """Hands one command after the other to the robot, and does what the stop ladder wants beside them."""

    def __init__(self, connector: Connector, period_s: float) -> None:
        self._connector = connector
        self._period_s = period_s

    def apply(self, command: npt.NDArray[np.float32]) -> None:
        """Send one command, of shape [action_dim]."""
        self._connector.apply_action(ActionChunk(command[None].copy(), self._period_s))

    def do(self, act: Act, reason: str) -> None:
        """Hold where the robot is, or take its torque off."""
        if act == "hold":
            self._connector.safe_stop(reason)
            return
        release = getattr(self._connector, "release", None)
        if release is None:
            raise HardwareError("the connector has no release(): the motors keep their torque")
        release()


def hands_for(mode: Mode, connector: Connector, period_s: float) -> Hands | None:
    """None but in apply_actions."""
    return Hands(connector, period_s) if mode == "apply_actions" else None
