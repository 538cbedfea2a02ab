"""Writing a calibration that is known already back into the servos, as after one of them was replaced or reset."""

from __future__ import annotations

from typing import Final

from reflex_runner.so101 import registers
from reflex_runner.so101.bus import Bus
from reflex_runner.so101.calibration import Calibration, Joint
from reflex_runner.so101.errors import CalibrationError
from reflex_runner.so101.registers import MOTORS, STEPS

__all__ = ["differences", "refuse_elsewhere"]

KEPT: Final = (registers.HOMING_OFFSET, registers.MIN_POSITION_LIMIT, registers.MAX_POSITION_LIMIT)
BEYOND_STEPS: Final = 60
"""Five degrees: an end stop gives way a little."""


def differences(bus: Bus, calibration: Calibration) -> list[str]:
    """What the servos hold otherwise, a sentence for each value; nothing is written."""
    held = {register: bus.values(register) for register in KEPT}
    return [
        f"{MOTORS[joint.id]} {register.name}: {held[register][joint.id]}, in the file {value}"
        for joint in calibration.joints
        for register, value in zip(KEPT, joint.registers, strict=True)
        if held[register][joint.id] != value
    ]


def refuse_elsewhere(bus: Bus, calibration: Calibration) -> None:
    """`CalibrationError` when a joint stands where by this calibration it cannot: the file is another arm's."""
    said, offsets = bus.values(registers.PRESENT_POSITION), bus.values(registers.HOMING_OFFSET)
    outside = [
        f"{MOTORS[joint.id]} would be at {position} of {joint.range_min} to {joint.range_max}"
        for joint in calibration.joints
        if not _is_within(joint, position := (said[joint.id] + offsets[joint.id] - joint.homing_offset) % STEPS)
    ]
    if outside:
        raise CalibrationError(
            f"by this calibration {'; '.join(outside)}: it is another arm's, or a horn was moved since; give this "
            "arm's file, or calibrate by hand. Nothing was written"
        )


def _is_within(joint: Joint, position: int) -> bool:
    return joint.range_min - BEYOND_STEPS <= position <= joint.range_max + BEYOND_STEPS
