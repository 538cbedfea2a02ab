"""The threads that move the robot, before all others of the machine."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

__all__ = ["take_precedence"]

PRECEDENCE: Final = 10
"""Above everything that is not in real time, and below what drives the machine's own devices."""
SWITCH_S: Final = 0.0005
"""So long at most another thread of this program keeps Python's lock when the loop wants it; by default it is 5 ms."""


def take_precedence(*, below: int = 0) -> None:
    """This thread before all others of the machine, where Linux lets us (`LimitRTPRIO=10` in a unit of systemd).

    What it starts does not inherit that. Without the right it waits its turn, on a busy machine for milliseconds.
    `below` is for a thread that the control loop may have to wait for, as for a bus that is being read.
    """
    sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
    with contextlib.suppress(OSError, AttributeError):  # no such right, or another system
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRECEDENCE - below))
