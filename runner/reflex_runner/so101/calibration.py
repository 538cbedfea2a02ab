"""An arm's calibration, as LeRobot writes it: where each joint's middle and its two end stops are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from reflex.durable_files import replace_file
from reflex_runner.so101.errors import CalibrationError
from reflex_runner.so101.registers import MOTORS, STEPS

__all__ = ["Calibration", "Joint", "parse_calibration", "read_calibration", "write_calibration"]

Step = Annotated[int, Field(ge=0, lt=STEPS)]


@dataclass(frozen=True, slots=True)
class Joint:
    """One motor's part of it, in steps of its encoder."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    id: int
    drive_mode: Annotated[int, Field(ge=0, le=1)]
    homing_offset: Annotated[int, Field(ge=-2047, le=2047)]
    range_min: Step
    range_max: Step

    @property
    def registers(self) -> tuple[int, int, int]:
        """What its servo holds of it: offset, lower and upper limit."""
        return self.homing_offset, self.range_min, self.range_max


_PARSER: Final = TypeAdapter(dict[str, Joint])


@dataclass(frozen=True, slots=True)
class Calibration:
    """All six joints, in the order of the motors."""

    joints: tuple[Joint, ...]

    @property
    def calibration_id(self) -> str:
        """Another one for whatever changes a measured position."""
        values = json.dumps([asdict(joint) for joint in self.joints], sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()[:16]


def parse_calibration(text: bytes) -> Calibration:
    """What a file of LeRobot's says; `ValueError` says what is wrong in it."""
    try:
        joints = _PARSER.validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from exc
    _refuse_other_motors(joints)
    return Calibration(tuple(joints[name] for name in MOTORS.values()))


def read_calibration(path: Path) -> Calibration:
    """`CalibrationError` says which file, and what is wrong in it."""
    try:
        return parse_calibration(path.read_bytes())
    except OSError as exc:
        raise CalibrationError(
            f"the calibration {path} cannot be read ({exc.strerror}); correct `calibration:`, or run "
            "`reflex so101 calibrate`"
        ) from exc
    except ValueError as exc:
        raise CalibrationError(
            f"the calibration {path} is not one of an SO-101 ({exc}); correct `calibration:`, or run "
            "`reflex so101 calibrate`"
        ) from exc


def write_calibration(path: Path, calibration: Calibration) -> None:
    """As LeRobot writes it, whole or not at all."""
    joints = {name: asdict(joint) for name, joint in zip(MOTORS.values(), calibration.joints, strict=True)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, (json.dumps(joints, indent=4) + "\n").encode())
    except OSError as exc:
        raise CalibrationError(f"the calibration {path} cannot be written ({exc.strerror or exc})") from exc


def _refuse_other_motors(joints: dict[str, Joint]) -> None:
    if set(joints) != set(MOTORS.values()):
        raise ValueError(f"its motors are {_listed(joints) or 'none'}, not {_listed(MOTORS.values())}")
    for id_, name in MOTORS.items():
        joint = joints[name]
        if joint.id != id_:
            raise ValueError(f"{name} has the id {joint.id}, not {id_}")
        if joint.range_min >= joint.range_max:
            raise ValueError(f"{name}: range_min {joint.range_min} is not below range_max {joint.range_max}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
