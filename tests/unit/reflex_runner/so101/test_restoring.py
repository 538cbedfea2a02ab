from __future__ import annotations

from dataclasses import replace

import pytest

from reflex_runner.so101.bus import Bus
from reflex_runner.so101.calibrating import keep
from reflex_runner.so101.calibration import Calibration, Joint
from reflex_runner.so101.errors import CalibrationError
from reflex_runner.so101.restoring import BEYOND_STEPS, differences, refuse_elsewhere
from support.servos.arms import calibrate
from support.servos.wires import WireLine

WANTED = Calibration(tuple(Joint(id_, 0, 100, 1000, 3000) for id_ in range(1, 7)))


@pytest.fixture
def line() -> WireLine:
    made = WireLine()
    calibrate(made.chain)
    for servo in made.chain.servos:
        servo.calibrate(0, 0, 4095)
        servo.angle = 2100.0
        servo._show()
    return made


def test_what_the_servos_hold_otherwise_is_told_and_nothing_more_once_it_is_written(line: WireLine) -> None:
    bus = Bus(line, clock=line)
    assert len(differences(bus, WANTED)) == 18
    assert differences(bus, WANTED)[0] == "shoulder_pan Homing_Offset: 0, in the file 100"
    assert all(not servo.written for servo in line.chain.servos)
    keep(bus, WANTED)
    assert differences(bus, WANTED) == []


@pytest.mark.parametrize(("low", "high", "fits"), [
    (1000, 3000, True), (2000 + BEYOND_STEPS, 3000, True), (2001 + BEYOND_STEPS, 3000, False),
    (1000, 2000 - BEYOND_STEPS, True), (1000, 1999 - BEYOND_STEPS, False),
])  # fmt: skip
def test_a_joint_that_stands_where_it_cannot_says_that_the_file_is_another_arms(
    line: WireLine, low: int, high: int, fits: bool
) -> None:
    joints = (*WANTED.joints[:2], replace(WANTED.joints[2], range_min=low, range_max=high), *WANTED.joints[3:])
    bus = Bus(line, clock=line)
    if fits:
        refuse_elsewhere(bus, Calibration(joints))
        return
    with pytest.raises(CalibrationError, match=f"elbow_flex would be at 2000 of {low} to {high}: it is another arm's"):
        refuse_elsewhere(bus, Calibration(joints))


def test_where_a_joint_stands_does_not_depend_on_the_offset_that_its_servo_lost(line: WireLine) -> None:
    for servo in line.chain.servos:
        servo.calibrate(-700, 0, 4095)
        servo._show()
    refuse_elsewhere(Bus(line, clock=line), WANTED)
    edge = Calibration(tuple(replace(joint, range_min=2010 + BEYOND_STEPS) for joint in WANTED.joints))
    with pytest.raises(CalibrationError, match="shoulder_pan would be at 2000"):
        refuse_elsewhere(Bus(line, clock=line), edge)
