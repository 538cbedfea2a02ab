"""Finding an arm's calibration: its middle, then the ends of each joint, moved by hand.

Everything is computed from what the servos say; nothing is written to them until `keep`, so who stops in between has
the calibration from before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.so101 import registers
from reflex_runner.so101.bus import Bus
from reflex_runner.so101.calibration import Calibration, Joint
from reflex_runner.so101.errors import BusError, CalibrationError
from reflex_runner.so101.examination import MULTI_TURN
from reflex_runner.so101.preparing import write_for_good
from reflex_runner.so101.registers import IDS, MOTORS, STEPS

__all__ = ["Ranges", "Zero", "calibration_of", "find_middle", "keep", "watch_ranges"]

MIDDLE: Final = 2047
MOST_OFFSET: Final = 2047
FULL_TURN: Final = 5
"""wrist_roll turns all the way round; LeRobot gives it the whole encoder."""
LEAST_TRAVEL_STEPS: Final = 300
"""A joint that was moved by less than 26 degrees was forgotten."""
PERIOD_S: Final = 0.03
MOST_SILENCES: Final = 20


@dataclass(frozen=True, slots=True)
class Zero:
    """`shift`, added to what a servo says now, is what it will say with the new `offset`."""

    offset: int
    shift: int

    def position(self, said: int) -> int:
        return (said + self.shift) % STEPS


@dataclass(frozen=True, slots=True)
class Ranges:
    """Where each joint is, and how far it has been, in steps of the new calibration."""

    position: Mapping[int, int]
    low: Mapping[int, int]
    high: Mapping[int, int]

    def and_now(self, position: Mapping[int, int]) -> Ranges:
        low = {id_: min(self.low[id_], step) for id_, step in position.items()}
        high = {id_: max(self.high[id_], step) for id_, step in position.items()}
        return Ranges(position, low, high)


def find_middle(bus: Bus) -> dict[int, Zero]:
    """The joints are in the middle of their ranges now."""
    said, offsets = bus.values(registers.PRESENT_POSITION), bus.values(registers.HOMING_OFFSET)
    return {id_: _zero(said[id_], offsets[id_]) for id_ in IDS}


def watch_ranges(
    bus: Bus,
    zeros: Mapping[int, Zero],
    is_done: Callable[[], bool],
    tell: Callable[[Ranges], object],
    clock: Clock = SYSTEM_CLOCK,
) -> Ranges:
    """Follow the joints until `is_done`. A motor that is silent for more than an instant is a `BusError`."""
    position = _positions(bus, zeros)
    ranges = Ranges(position, position, position)
    silences = 0
    while not is_done():
        clock.sleep_until(clock.now() + PERIOD_S)
        try:
            ranges, silences = ranges.and_now(_positions(bus, zeros)), 0
        except BusError:
            silences += 1
            if silences > MOST_SILENCES:
                raise
        tell(ranges)
    return ranges.and_now(_positions(bus, zeros))


def calibration_of(zeros: Mapping[int, Zero], ranges: Ranges) -> Calibration:
    """`CalibrationError` names a joint that was not moved through its range, or past the seam of its encoder."""
    for id_, name in MOTORS.items():
        if id_ != FULL_TURN:
            _refuse_bad_range(name, ranges.low[id_], ranges.high[id_])
    return Calibration(tuple(_joint(id_, zeros[id_], ranges) for id_ in IDS))


def keep(bus: Bus, calibration: Calibration) -> None:
    """Write it to the servos, whose torque must be off, and read it back."""
    for joint in calibration.joints:
        offset, low, high = joint.registers
        phase = bus.read(joint.id, registers.PHASE)
        values = {
            registers.OPERATING_MODE: 0,
            registers.PHASE: phase & ~MULTI_TURN,
            registers.HOMING_OFFSET: offset,
            registers.MIN_POSITION_LIMIT: low,
            registers.MAX_POSITION_LIMIT: high,
        }
        write_for_good(bus, joint.id, values)
        if any(bus.read(joint.id, register) != value for register, value in values.items()):
            raise CalibrationError(f"{MOTORS[joint.id]} does not keep its calibration: switch its power off and on")


def _zero(said: int, offset_now: int) -> Zero:
    """The encoder's own step is `said + offset_now`; half a turn away from the middle it would wrap."""
    offset = (said + offset_now) % STEPS - MIDDLE
    return Zero(min(offset, MOST_OFFSET), offset_now - min(offset, MOST_OFFSET))


def _positions(bus: Bus, zeros: Mapping[int, Zero]) -> dict[int, int]:
    return {id_: zeros[id_].position(said) for id_, said in bus.values(registers.PRESENT_POSITION).items()}


def _joint(id_: int, zero: Zero, ranges: Ranges) -> Joint:
    if id_ == FULL_TURN:
        return Joint(id_, 0, zero.offset, 0, STEPS - 1)
    return Joint(id_, 0, zero.offset, ranges.low[id_], ranges.high[id_])


def _refuse_bad_range(name: str, low: int, high: int) -> None:
    if high - low < LEAST_TRAVEL_STEPS:
        raise CalibrationError(
            f"{name} was moved by {high - low} steps only: move every joint from one end to the other"
        )
    if high - low > STEPS - LEAST_TRAVEL_STEPS:
        raise CalibrationError(
            f"{name} was moved across the seam of its encoder: begin again with every joint half-way"
        )
