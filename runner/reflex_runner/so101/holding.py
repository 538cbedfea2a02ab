"""Torque on without a jump, holding where the arm is, and torque off whatever some of the servos say.

A command for all servos has no answer, and may be lost: what must not be is read back, and sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from reflex_runner.so101.bus import Bus
from reflex_runner.so101.calibration import Joint
from reflex_runner.so101.errors import BusError, CalibrationError, SO101Error
from reflex_runner.so101.registers import (
    GOAL_POSITION,
    IDS,
    PRESENT_POSITION,
    SENSED,
    STEPS,
    TORQUE_ENABLE,
    Register,
    named,
    sensed,
)

__all__ = ["hold", "refuse_outside", "release", "take_hold"]

TRIES: Final = 5
HOLD_TRIES: Final = 8
OFF_COMMANDS: Final = 3
STANDS_WITHIN_STEPS: Final = 20
"""Less than two degrees: a loaded joint hangs so far below its goal, and would sink further with every new hold."""
OUTSIDE_STEPS: Final = 57
"""Five degrees: so far the first command may bring a joint back into its calibrated range at once."""
PULL_THE_PLUG: Final = "the emergency stop of this arm is its power plug: support the arm, and pull it"


def refuse_outside(bus: Bus, joints: Sequence[Joint]) -> None:
    """`CalibrationError` for a joint far outside of its calibrated range, to whose end a command would throw it.

    One that has gone over the seam of its encoder stands at the wrong end, and would go all the way round.
    """
    said = bus.values(PRESENT_POSITION)
    outside = {joint.id: max(joint.range_min - said[joint.id], said[joint.id] - joint.range_max) for joint in joints}
    far = [id_ for id_, steps in outside.items() if steps > OUTSIDE_STEPS]
    if far:
        degrees = outside[far[0]] * 360 / STEPS
        raise CalibrationError(
            f"{named(far)} stands {degrees:.0f} degrees outside of its calibrated range, and nothing is moved: move it "
            "back by hand; if it was moved through its whole range before, calibrate anew with `reflex so101 calibrate`"
        )


def take_hold(bus: Bus) -> None:
    """Torque on. Each motor's goal is its position first, read back: a goal left over would make the arm jump."""
    _write_surely(bus, GOAL_POSITION, bus.values(PRESENT_POSITION), "its goal")
    _write_surely(bus, TORQUE_ENABLE, dict.fromkeys(IDS, 1), "torque")


def hold(bus: Bus) -> None:
    """The goal of each motor with torque becomes where it is now. `BusError` names those that could not be told.

    Whoever answers is told at once: the others would move on while a silent one is waited for.
    """
    waiting, told = set(IDS), dict[int, int]()
    for _ in range(HOLD_TRIES):
        found = bus.read_some(*SENSED, sorted(waiting), retries=0)
        waiting -= {id_ for id_, answer in found.items() if _stands(answer.params, told.get(id_))}
        goals = {id_: sensed(PRESENT_POSITION, found[id_].params) for id_ in sorted(waiting & found.keys())}
        if goals:
            bus.write_all(GOAL_POSITION, goals)
            told |= goals
        if not waiting:
            return
    raise BusError(f"{named(sorted(waiting))} did not answer, and goes to the last goal it got", tuple(sorted(waiting)))


def release(bus: Bus) -> None:
    """Torque off, on all that hear it. `SO101Error` at the end, for those of which it is not known to be off."""
    problems: dict[int, str] = {}
    for _ in range(OFF_COMMANDS):
        try:
            bus.write_all(TORQUE_ENABLE, dict.fromkeys(IDS, 0))
        except SO101Error as error:
            problems = dict.fromkeys(IDS, str(error))
    for id_ in IDS:
        problem = _off(bus, id_)
        if problem is None:
            problems.pop(id_, None)
        else:
            problems[id_] = problem
    if problems:
        why = "; ".join(dict.fromkeys(problems.values()))
        raise SO101Error(f"the torque of {named(problems)} is not known to be off ({why}); {PULL_THE_PLUG}")


def _off(bus: Bus, id_: int) -> str | None:
    """None when it is off, also of a servo that reports a fault while it says so."""
    try:
        bus.write(id_, TORQUE_ENABLE, 0)
    except SO101Error as error:
        problem = str(error)
    else:
        return None
    try:
        return problem if bus.values(TORQUE_ENABLE, (id_,))[id_] else None
    except SO101Error as error:
        return str(error)


def _stands(params: bytes, told: int | None) -> bool:
    goal, position = sensed(GOAL_POSITION, params), sensed(PRESENT_POSITION, params)
    return not sensed(TORQUE_ENABLE, params) or goal == told or abs(goal - position) <= STANDS_WITHIN_STEPS


def _write_surely(bus: Bus, register: Register, values: Mapping[int, int], what: str) -> None:
    waiting = dict(values)
    for _ in range(TRIES):
        bus.write_all(register, waiting)
        has = bus.values(register, tuple(waiting))
        waiting = {id_: value for id_, value in waiting.items() if has[id_] != value}
        if not waiting:
            return
    raise BusError(f"{named(waiting)} does not take {what}: switch the servos' power off and on", tuple(waiting))
