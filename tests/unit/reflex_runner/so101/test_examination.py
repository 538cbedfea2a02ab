from __future__ import annotations

import pytest

from reflex_runner.so101.bus import Bus
from reflex_runner.so101.errors import BusError, CalibrationError, ServoError, SO101Error
from reflex_runner.so101.examination import Examination, examine
from support.servos.arms import CALIBRATION, calibrate
from support.servos.wires import WireLine


def line_of_an_arm() -> WireLine:
    line = WireLine()
    calibrate(line.chain)
    return line


def examined(line: WireLine) -> Examination:
    return examine(Bus(line, clock=line), CALIBRATION)


def test_an_arm_that_is_well_has_no_problem_and_nothing_is_written_to_it() -> None:
    line = line_of_an_arm()

    assert examined(line).problems == ()
    assert [servo.written for servo in line.chain.servos] == [[]] * 6
    assert examined(line).voltages.startswith("shoulder_pan 7.4 V of 4.0 to 8.0 V, shoulder_lift 7.4 V")


@pytest.mark.parametrize(
    ("register", "value", "kind", "words"),
    [
        (3, 0x0A, SO101Error, r"motor 3 \(elbow_flex\) is no STS3215 \(model 778\)"),
        (1, 9, SO101Error, r"different firmware \(.*elbow_flex 3\.9.*\)"),
        (8, 0, SO101Error, "answers no writes"),
        (62, 121, ServoError, r"elbow_flex 12\.1 V of 4\.0 to 8\.0 V\): nothing is moved"),
        (62, 39, ServoError, r"elbow_flex 3\.9 V of 4\.0"),
        (9, 0x10, CalibrationError, "elbow_flex Min_Position_Limit 784, in the file 860"),
    ],
    ids=["model", "firmware", "status level", "too high a voltage", "low voltage", "calibration"],
)
def test_what_keeps_a_run_from_beginning_names_the_motor(register: int, value: int, kind: type, words: str) -> None:
    line = line_of_an_arm()
    line.chain.servo(3).memory[register] = value

    (problem,) = examined(line).problems

    assert type(problem) is kind
    with pytest.raises(kind, match=words):
        raise problem


def test_another_arms_calibration_says_where_it_differs_and_that_nothing_was_written() -> None:
    line = line_of_an_arm()
    for servo in line.chain.servos:
        servo.calibrate(7, 100, 3000)

    (problem,) = examined(line).problems

    assert "shoulder_pan Homing_Offset 7, in the file -120" in str(problem)
    assert "and 15 more" in str(problem)
    assert "Nothing was written" in str(problem)


def test_a_fault_is_told_with_the_voltages_that_the_servos_measure() -> None:
    line = line_of_an_arm()
    line.chain.servo(6).error = 1

    (problem,) = examined(line).problems

    assert "motor 6 (gripper) reports a voltage outside of its limits (shoulder_pan 7.4 V of 4.0 to 8.0 V" in str(
        problem
    )


def test_missing_motors_are_named_before_anything_else_is_read() -> None:
    line = line_of_an_arm()
    line.chain.unplug(3, 4, 5, 6)

    with pytest.raises(
        BusError, match=r"motors 3 \(elbow_flex\), .* do not answer: see to the cable from motor 2 to 3"
    ):
        examined(line)
