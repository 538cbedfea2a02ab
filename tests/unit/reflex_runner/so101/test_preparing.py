from __future__ import annotations

import pytest

from reflex_runner.so101 import registers
from reflex_runner.so101.bus import Bus
from reflex_runner.so101.errors import SO101Error
from reflex_runner.so101.preparing import changes_wanted, make_changes
from support.servos.arms import calibrate
from support.servos.wires import WireLine


def bus_of_an_arm() -> tuple[WireLine, Bus]:
    line = WireLine()
    calibrate(line.chain)
    return line, Bus(line, clock=line)


def test_a_servo_is_set_up_once_and_what_is_right_is_not_written_again() -> None:
    line, bus = bus_of_an_arm()

    make_changes(bus, changes_wanted(bus))

    assert changes_wanted(bus) == []
    assert bus.values(registers.P_COEFFICIENT) == dict.fromkeys(range(1, 7), 16)
    assert bus.values(registers.MAX_TORQUE_LIMIT) == {**dict.fromkeys(range(1, 6), 1000), 6: 500}
    assert all(address not in (9, 11, 31) for servo in line.chain.servos for address, _ in servo.written)


def test_what_lasts_is_still_there_after_a_power_cut_and_the_lock_is_on_again() -> None:
    line, bus = bus_of_an_arm()
    make_changes(bus, changes_wanted(bus))
    for servo in line.chain.servos:
        servo.switch_off_and_on()

    assert [change for change in changes_wanted(bus) if change.register.lasts] == []
    assert bus.values(registers.LOCK) == dict.fromkeys(range(1, 7), 1)


@pytest.mark.parametrize(
    ("register", "left_over", "written"),
    [
        (registers.GOAL_VELOCITY, 0, 3400),
        (registers.GOAL_VELOCITY, -200, 3400),
        (registers.ACCELERATION, 0, 254),
        (registers.TORQUE_LIMIT, 0, 1000),
        (registers.GOAL_TIME, 500, 0),
        (registers.PHASE, 28, 12),
        (registers.OPERATING_MODE, 1, 0),
    ],
)
def test_what_another_program_left_behind_is_found_and_mended(
    register: registers.Register, left_over: int, written: int
) -> None:
    line, bus = bus_of_an_arm()
    make_changes(bus, changes_wanted(bus))
    bus.write(2, register, left_over)

    (change,) = changes_wanted(bus)
    make_changes(bus, [change])

    assert (change.id, change.register) == (2, register)
    assert bus.read(2, register) == written
    assert line.chain.servo(2).memory[55] == 1


def test_a_motor_that_holds_its_joint_is_not_set_up() -> None:
    line, bus = bus_of_an_arm()
    line.chain.servo(4).write(40, b"\x01")

    with pytest.raises(SO101Error, match=r"motor 4 \(wrist_flex\) must be set up .*reflex so101 rest --release"):
        make_changes(bus, changes_wanted(bus))
    assert [servo.written for servo in line.chain.servos] == [[], [], [], [(40, b"\x01")], [], []]


def test_a_torque_limit_that_somebody_lowered_is_left() -> None:
    _, bus = bus_of_an_arm()
    make_changes(bus, changes_wanted(bus))
    bus.write(2, registers.TORQUE_LIMIT, 300)

    assert changes_wanted(bus) == []
