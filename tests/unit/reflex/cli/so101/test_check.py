from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex_runner.so101 import bus
from support.servos.arms import CALIBRATION
from support.servos.desk import Desk, desk

__all__ = ["desk"]


def test_an_arm_that_is_well_is_shown_and_nothing_is_written(desk: Desk) -> None:
    shown = CliRunner().invoke(app, ["so101", "check"])
    told = json.loads(CliRunner().invoke(app, ["so101", "check", "--json"]).stdout)

    assert shown.exit_code == 0
    assert "well and complete" in shown.stderr
    assert "2  shoulder_lift" in shown.stdout
    assert told["ok"] is True
    assert (told["calibration"], told["calibration_id"]) == (str(desk.file), CALIBRATION.calibration_id)
    assert [motor["position"] for motor in told["motors"]] == pytest.approx([0, 0, 0, 0, 0, 50], abs=0.1)
    assert "P_Coefficient of motor 1" in told["set_up_by_a_run"]
    assert [servo.written for servo in desk.chain.servos] == [[]] * 6


def test_what_keeps_a_run_from_beginning_is_exit_code_1(desk: Desk) -> None:
    desk.chain.servo(2).calibrate(5, 850, 3190)
    desk.chain.servo(4).error = 32

    shown = CliRunner().invoke(app, ["so101", "check"])
    told = json.loads(CliRunner().invoke(app, ["so101", "check", "--json"]).stdout)

    assert shown.exit_code == 1
    assert "motor 4 (wrist_flex) reports an overload" in shown.stderr
    assert [problem["error"] for problem in told["problems"]] == ["servo_fault", "arm_calibration"]


def test_without_a_calibration_the_rest_is_checked_all_the_same(desk: Desk) -> None:
    desk.file.unlink()

    shown = CliRunner().invoke(app, ["so101", "check"])

    assert shown.exit_code == 1
    assert "no arm is calibrated" in shown.stderr
    assert "1  shoulder_pan" in shown.stdout


@pytest.mark.slow
def test_a_missing_motor_is_an_error_that_names_the_cable(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "ANSWER_WITHIN_S", 0.2)
    desk.chain.unplug(5, 6)

    told = json.loads(CliRunner().invoke(app, ["so101", "check", "--json"]).stdout)

    assert told["error"] == "servo_bus"
