"""What a runner says to its watchdog through a pipe, and when that, or silence, means: stop the robot."""

from __future__ import annotations

import os
import select
from typing import Final

__all__ = ["ARM", "BEAT", "DISARM", "FAREWELL", "PATIENCE", "PATIENCE_S", "watch"]

BEAT: Final = b"."
ARM: Final = b"a"
"""From here on the robot moves."""
DISARM: Final = b"d"
"""The robot is stopped."""
PATIENCE: Final = b"p"
"""What the runner does now may take long."""
FAREWELL: Final = b"q"

PATIENCE_S: Final = 15.0


def watch(pipe: int, silence_s: float) -> bool:
    """Whether the robot must be stopped. Returns when it must, or when nothing is left to be watched."""
    is_armed, patience_s = False, silence_s
    while True:
        readable, _, _ = select.select([pipe], [], [], patience_s if is_armed else None)
        heard = os.read(pipe, select.PIPE_BUF) if readable else b""
        if FAREWELL in heard:
            return False
        if not heard:
            return is_armed
        told = [word for word in heard if word in ARM + DISARM]
        is_armed = told[-1:] == [*ARM] if told else is_armed
        patience_s = PATIENCE_S if heard.endswith(PATIENCE) else silence_s
