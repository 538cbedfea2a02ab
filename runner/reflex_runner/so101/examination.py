"""Everything about an arm that can be known without moving it or writing to it, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from reflex_runner.so101 import registers
from reflex_runner.so101.bus import Bus
from reflex_runner.so101.calibration import Calibration
from reflex_runner.so101.errors import CalibrationError, ServoError, SO101Error
from reflex_runner.so101.faults import refuse_faults, silence
from reflex_runner.so101.registers import IDS, MODEL_STS3215, MOTORS, Register, named

__all__ = ["MULTI_TURN", "Examination", "examine"]

MULTI_TURN: Final = 0x10
"""The bit of `Phase` that has positions count beyond one turn."""
READ: Final = (
    registers.FIRMWARE_MAJOR,
    registers.FIRMWARE_MINOR,
    registers.MODEL_NUMBER,
    registers.RESPONSE_STATUS_LEVEL,
    registers.MIN_POSITION_LIMIT,
    registers.MAX_POSITION_LIMIT,
    registers.MIN_VOLTAGE_LIMIT,
    registers.MAX_VOLTAGE_LIMIT,
    registers.MAX_TEMPERATURE_LIMIT,
    registers.HOMING_OFFSET,
    registers.TORQUE_ENABLE,
    registers.PRESENT_POSITION,
    registers.PRESENT_VOLTAGE,
    registers.PRESENT_TEMPERATURE,
)


@dataclass(frozen=True, slots=True)
class Examination:
    """`values` by register and motor; `problems` are what keeps a run from beginning."""

    values: Mapping[Register, Mapping[int, int]]
    errors: Mapping[int, int]
    problems: tuple[SO101Error, ...] = field(default=())

    def of(self, register: Register, id_: int) -> int:
        return self.values[register][id_]

    @property
    def firmware(self) -> dict[int, str]:
        return {
            id_: f"{self.of(registers.FIRMWARE_MAJOR, id_)}.{self.of(registers.FIRMWARE_MINOR, id_)}" for id_ in IDS
        }

    @property
    def voltages(self) -> str:
        """What each servo measures, and may."""
        return ", ".join(_voltage(self, id_) for id_ in IDS)


def examine(bus: Bus, calibration: Calibration | None) -> Examination:
    """`BusError` when a motor is missing. Without a calibration there is nothing to compare the servos with."""
    present = bus.present()
    missing = [id_ for id_ in IDS if id_ not in present]
    if missing:
        raise silence(missing, IDS, garbled=False)
    values = {register: bus.values(register) for register in READ}
    answers = bus.read_all(registers.PRESENT_POSITION.address, registers.PRESENT_POSITION.size)
    examination = Examination(values, {id_: answer.error for id_, answer in answers.items()})
    problems = tuple(_problems(examination, calibration))
    return Examination(values, examination.errors, problems)


def _problems(found: Examination, calibration: Calibration | None) -> Iterator[SO101Error]:
    yield from _other_servos(found)
    yield from _bad_voltage(found)
    try:
        refuse_faults(found.errors, found.voltages)
    except ServoError as error:
        yield error
    if calibration is not None:
        yield from _another_calibration(found, calibration)


def _other_servos(found: Examination) -> Iterator[SO101Error]:
    models = found.values[registers.MODEL_NUMBER]
    others = [id_ for id_ in IDS if models[id_] != MODEL_STS3215]
    if others:
        yield SO101Error(f"{named(others)} is no STS3215 (model {models[others[0]]}): this is no SO-101")
    if len(set(found.firmware.values())) > 1:
        each = ", ".join(f"{MOTORS[id_]} {version}" for id_, version in found.firmware.items())
        yield SO101Error(
            f"the servos have different firmware ({each}); bring them to one version with Feetech's program"
        )
    quiet = [id_ for id_, level in found.values[registers.RESPONSE_STATUS_LEVEL].items() if level == 0]
    if quiet:
        yield SO101Error(
            f"{named(quiet)} answers no writes (register 8 is 0): what was written cannot be known; set it to 1 "
            "with Feetech's program"
        )


def _bad_voltage(found: Examination) -> Iterator[SO101Error]:
    for id_ in IDS:
        low, high = found.of(registers.MIN_VOLTAGE_LIMIT, id_), found.of(registers.MAX_VOLTAGE_LIMIT, id_)
        if not low <= found.of(registers.PRESENT_VOLTAGE, id_) <= high:
            yield ServoError(
                f"{named((id_,))} gets a voltage outside of its limits ({_voltage(found, id_)}): nothing is moved; "
                "use the power supply that belongs to these servos",
                (id_,),
            )


def _voltage(found: Examination, id_: int) -> str:
    has, low, high = (
        found.of(register, id_) / 10
        for register in (registers.PRESENT_VOLTAGE, registers.MIN_VOLTAGE_LIMIT, registers.MAX_VOLTAGE_LIMIT)
    )
    return f"{MOTORS[id_]} {has:.1f} V of {low:.1f} to {high:.1f} V"


def _another_calibration(found: Examination, calibration: Calibration) -> Iterator[SO101Error]:
    kept = (registers.HOMING_OFFSET, registers.MIN_POSITION_LIMIT, registers.MAX_POSITION_LIMIT)
    different = [
        f"{MOTORS[joint.id]} {register.name} {found.of(register, joint.id)}, in the file {value}"
        for joint in calibration.joints
        for register, value in zip(kept, joint.registers, strict=True)
        if found.of(register, joint.id) != value
    ]
    if different:
        yield CalibrationError(
            f"the servos hold another calibration than the file ({'; '.join(different[:3])}"
            f"{f'; and {len(different) - 3} more' if len(different) > 3 else ''}): it is another arm's file, or an "
            "older one; give this arm's (`id:` or `calibration:`), or run `reflex so101 calibrate`. Nothing was written"
        )
