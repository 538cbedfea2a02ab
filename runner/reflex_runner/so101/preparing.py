"""What a servo must be set to before its torque goes on, and writing what is not so already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from reflex_runner.so101 import registers
from reflex_runner.so101.bus import Bus
from reflex_runner.so101.errors import SO101Error
from reflex_runner.so101.examination import MULTI_TURN
from reflex_runner.so101.registers import IDS, LOCK, TORQUE_ENABLE, Register, named

__all__ = ["Change", "changes_wanted", "make_changes"]

GRIPPER: Final = 6
FASTEST_STEPS_S: Final = 3400
"""Above the servo's no-load speed, 3072: no limit, whatever a firmware takes a 0 for."""
SLOWED_BELOW_STEPS_S: Final = 3073
WANTED: Final[Mapping[Register, int]] = MappingProxyType(
    {
        registers.RETURN_DELAY_TIME: 0,
        registers.P_COEFFICIENT: 16,
        registers.D_COEFFICIENT: 32,
        registers.I_COEFFICIENT: 0,
        registers.OPERATING_MODE: 0,
        registers.ACCELERATION: 254,
        registers.GOAL_TIME: 0,
        registers.MAXIMUM_ACCELERATION: 254,
    }
)
"""As LeRobot 0.6 sets them, with which data sets are recorded."""
WANTED_OF_GRIPPER: Final[Mapping[Register, int]] = MappingProxyType(
    {registers.MAX_TORQUE_LIMIT: 500, registers.PROTECTION_CURRENT: 250, registers.OVERLOAD_TORQUE: 25}
)
"""So that it does not burn while it holds something; as LeRobot 0.6."""


@dataclass(frozen=True, slots=True)
class Change:
    """A register of one motor that is not as it must be."""

    id: int
    register: Register
    value: int


def changes_wanted(bus: Bus) -> list[Change]:
    """What must be written before torque goes on. Nothing is written."""
    return [*_fixed(bus, WANTED, IDS), *_fixed(bus, WANTED_OF_GRIPPER, (GRIPPER,)), *_multi_turn(bus), *_left_over(bus)]


def make_changes(bus: Bus, changes: Sequence[Change]) -> None:
    """Write them. `SO101Error` when one of those that last is wanted of a motor that holds its joint up."""
    for_good = [change for change in changes if change.register.lasts]
    torque = bus.values(TORQUE_ENABLE) if for_good else {}
    held = sorted({change.id for change in for_good if torque[change.id]})
    if held:
        raise SO101Error(
            f"{named(held)} must be set up ({', '.join(sorted({change.register.name for change in for_good}))}) and "
            "holds its joint: support the arm, take its torque off with `reflex so101 rest --release`, and begin again"
        )
    for change in changes:
        if not change.register.lasts:
            bus.write(change.id, change.register, change.value)
    for id_ in sorted({change.id for change in for_good}):
        write_for_good(bus, id_, {change.register: change.value for change in for_good if change.id == id_})


def write_for_good(bus: Bus, id_: int, values: Mapping[Register, int]) -> None:
    """While the lock is 1 a servo takes such values, and forgets them with its power."""
    bus.write(id_, LOCK, 0)
    try:
        for register, value in values.items():
            bus.write(id_, register, value)
    finally:
        bus.write(id_, LOCK, 1)


def _fixed(bus: Bus, wanted: Mapping[Register, int], ids: Sequence[int]) -> Iterator[Change]:
    for register, value in wanted.items():
        for id_, has in bus.values(register, ids).items():
            if has != value:
                yield Change(id_, register, value)


def _multi_turn(bus: Bus) -> Iterator[Change]:
    for id_, phase in bus.values(registers.PHASE).items():
        if phase & MULTI_TURN:
            yield Change(id_, registers.PHASE, phase & ~MULTI_TURN)


def _left_over(bus: Bus) -> Iterator[Change]:
    """A servo with one of these at 0 takes goals and goes nowhere; other programs leave them so."""
    for id_, speed in bus.values(registers.GOAL_VELOCITY).items():
        if abs(speed) < SLOWED_BELOW_STEPS_S:
            yield Change(id_, registers.GOAL_VELOCITY, FASTEST_STEPS_S)
    most = bus.values(registers.MAX_TORQUE_LIMIT)
    for id_, limit in bus.values(registers.TORQUE_LIMIT).items():
        if limit == 0:
            yield Change(id_, registers.TORQUE_LIMIT, most[id_])
