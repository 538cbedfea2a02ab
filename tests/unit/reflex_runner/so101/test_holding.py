from __future__ import annotations

import pytest

from reflex_runner.so101.bus import Bus
from reflex_runner.so101.errors import BusError, CalibrationError, SO101Error
from reflex_runner.so101.holding import hold, refuse_outside, release, take_hold
from reflex_runner.so101.registers import GOAL_POSITION
from support.servos.arms import CALIBRATION, MIDDLE, calibrate
from support.servos.chain import Chain
from support.servos.wires import WireLine


def bus_of_an_arm(retries: int = 3) -> tuple[WireLine, Bus]:
    line = WireLine()
    calibrate(line.chain)
    return line, Bus(line, clock=line, retries=retries)


def torques(line: WireLine) -> list[bool]:
    return [servo.torque for servo in line.chain.servos]


@pytest.mark.parametrize("seed", range(20))
def test_torque_goes_on_without_a_jump_whatever_goal_was_left_over_and_whatever_is_lost(seed: int) -> None:
    line, bus = bus_of_an_arm(retries=20)
    for servo in line.chain.servos:
        servo.set_signed(42, 3000, 15)
    line.chain.faults.loss_percent = 20
    line.chain._random.seed(seed)

    take_hold(bus)
    line.now_s += 10
    line.chain.settle()

    assert torques(line) == [True] * 6
    assert [servo.present for servo in line.chain.servos] == list(MIDDLE)


def test_a_motor_that_takes_no_torque_is_named() -> None:
    line, bus = bus_of_an_arm()
    line.chain.servo(3).ignores_torque = True

    with pytest.raises(BusError, match=r"motor 3 \(elbow_flex\) does not take torque: switch .* off and on"):
        take_hold(bus)


def stands_at(chain: Chain, at: int, joint: int) -> None:
    chain.servo(joint).angle = float(at + CALIBRATION.joints[joint - 1].homing_offset)
    chain.settle()


@pytest.mark.parametrize(("joint", "at", "degrees"), [(1, 3311 + 58, 5), (2, 850 - 569, 50), (2, 3190 + 905, 80)])
def test_a_joint_far_outside_of_its_range_is_refused_and_how_far_is_said(joint: int, at: int, degrees: int) -> None:
    line, bus = bus_of_an_arm()
    stands_at(line.chain, at, joint)
    with pytest.raises(CalibrationError, match=rf"motor {joint} .* stands {degrees} degrees outside of its calibrated"):
        refuse_outside(bus, CALIBRATION.joints)


@pytest.mark.parametrize("at", [2050, 3311, 3311 + 57, 790 - 57])
def test_a_joint_in_its_range_or_a_little_outside_is_not(at: int) -> None:
    line, bus = bus_of_an_arm()
    stands_at(line.chain, at, 1)
    refuse_outside(bus, CALIBRATION.joints)


def test_hold_stops_an_arm_on_its_way() -> None:
    line, bus = bus_of_an_arm()
    take_hold(bus)
    bus.write_all(GOAL_POSITION, dict.fromkeys(range(1, 6), 2500))
    line.now_s += 0.05
    line.chain.settle()
    on_its_way = [servo.present for servo in line.chain.servos]

    hold(bus)
    line.now_s += 10
    line.chain.settle()

    assert on_its_way != list(MIDDLE)
    assert [servo.present for servo in line.chain.servos] == pytest.approx(on_its_way, abs=1)


def test_an_arm_that_hangs_a_little_below_its_goal_does_not_sink_with_every_hold() -> None:
    line, bus = bus_of_an_arm()
    take_hold(bus)
    for _ in range(5):
        line.chain.servo(2).angle -= 10
        line.chain.servo(2)._show()
        hold(bus)
        line.now_s += 1
        line.chain.settle()

    assert line.chain.servo(2).present == MIDDLE[1]


def test_hold_gives_no_motor_torque_that_has_none() -> None:
    line, bus = bus_of_an_arm()
    line.chain.servo(2).write(40, b"\x01")
    before = [list(servo.written) for servo in line.chain.servos]

    hold(bus)

    assert torques(line) == [False, True, False, False, False, False]
    assert [servo.written for servo in line.chain.servos][2:] == before[2:]


def test_hold_holds_those_that_answer_and_names_the_others() -> None:
    line, bus = bus_of_an_arm()
    take_hold(bus)
    line.chain.servo(1).write(42, (900).to_bytes(2, "little"))
    line.chain.servo(5).is_powered = False

    with pytest.raises(BusError, match=r"motor 5 \(wrist_roll\) did not answer") as caught:
        hold(bus)
    assert caught.value.motors == (5,)
    assert line.chain.servo(1).goal == pytest.approx(MIDDLE[0], abs=3)


def test_release_goes_on_past_motors_that_report_faults() -> None:
    line, bus = bus_of_an_arm()
    take_hold(bus)
    line.chain.servo(2).error = 32

    release(bus)

    assert torques(line) == [False] * 6


@pytest.mark.parametrize("seed", range(20))
def test_release_reaches_every_motor_at_heavy_loss(seed: int) -> None:
    line, bus = bus_of_an_arm(retries=20)
    take_hold(bus)
    line.chain.faults.loss_percent = 20
    line.chain._random.seed(seed)

    release(bus)

    assert torques(line) == [False] * 6


def test_release_names_the_motors_that_keep_their_torque_and_takes_it_off_the_others() -> None:
    line, bus = bus_of_an_arm()
    take_hold(bus)
    line.chain.servo(2).ignores_torque, line.chain.servo(2).error = True, 32
    line.chain.servo(4).is_powered = False

    with pytest.raises(SO101Error, match=r"motors 2 \(shoulder_lift\), 4 \(wrist_flex\) is not known .*power plug"):
        release(bus)
    assert torques(line) == [False, True, False, True, False, False]
