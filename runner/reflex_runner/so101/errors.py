"""What goes wrong with an SO-101. Each message names the motor or the port, and what to do.

HardwareError
└── SO101Error                 what this arm is, or does, keeps a run from beginning or going on
    ├── PortError              no serial port, several, or one that cannot be opened
    ├── CalibrationError       no calibration, a damaged one, or another one than the servos hold
    ├── BusError               servos that do not answer, or whose answers are garbled
    └── ServoError             a servo that reports a fault: overload, voltage, temperature
"""

from __future__ import annotations

from typing import ClassVar

from reflex.errors import When
from reflex_runner.errors import HardwareError

__all__ = ["BusError", "CalibrationError", "PortError", "SO101Error", "ServoError"]


class SO101Error(HardwareError):
    """What this arm is, or does, keeps a run from beginning or going on."""

    code = "arm"


class PortError(SO101Error):
    """No serial port has the arm, or several have one, or it cannot be opened."""

    code = "arm_port"
    raised: ClassVar[When] = "set-up"


class CalibrationError(SO101Error):
    """There is no calibration, or a damaged one, or another one than the servos hold."""

    code = "arm_calibration"
    raised: ClassVar[When] = "set-up"


class BusError(SO101Error):
    """`motors` are the ids that gave no answer that can be read, or none when the cable itself is gone."""

    code = "servo_bus"

    def __init__(self, message: str, motors: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.motors = motors


class ServoError(SO101Error):
    """`motors` are the ids that report a fault."""

    code = "servo_fault"

    def __init__(self, message: str, motors: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.motors = motors
