"""An SO-101 of six servos that are calibrated, and the file that says how."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from reflex_runner.so101.calibration import Calibration, Joint
from support.servos.chain import NAMES, Chain

__all__ = ["CALIBRATION", "MIDDLE", "calibrate", "calibration_text", "write_file"]

_RANGES: Final = (
    (-120, 790, 3311),
    (34, 850, 3190),
    (-1, 860, 3080),
    (1200, 905, 3195),
    (0, 0, 4095),
    (-512, 2020, 3200),
)
CALIBRATION: Final = Calibration(tuple(Joint(id_, 0, *values) for id_, values in enumerate(_RANGES, 1)))
MIDDLE: Final = tuple((low + high) // 2 for _, low, high in _RANGES)
"""Where each joint's Present_Position is half-way."""


def calibration_text() -> bytes:
    joints = zip(NAMES, CALIBRATION.joints, strict=True)
    return json.dumps({name: asdict(joint) for name, joint in joints}).encode()


def write_file(folder: Path, name: str = "left") -> Path:
    """As the calibration of an arm that LeRobot calls so, with `folder` as its `HF_LEROBOT_CALIBRATION`."""
    file = folder / "robots" / "so_follower" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(calibration_text())
    return file


def calibrate(chain: Chain) -> Chain:
    """The servos hold that calibration, and are half-way."""
    for servo, joint, middle in zip(chain.servos, CALIBRATION.joints, MIDDLE, strict=True):
        servo.angle = float(middle + joint.homing_offset)
        servo.calibrate(joint.homing_offset, joint.range_min, joint.range_max)
    return chain
