from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.cli.so101 import rest
from support.servos.arms import MIDDLE
from support.servos.desk import Desk, desk

__all__ = ["desk"]

NEAR = "15,-5,5,5,-5,55"
"""Half a second away."""


def test_the_arm_goes_to_the_pose_and_its_torque_goes_off(desk: Desk) -> None:
    done = CliRunner().invoke(app, ["so101", "rest", "--pose", NEAR, "--json"], input="y\n")

    assert (done.exit_code, json.loads(done.stdout)) == (0, {"rested": True, "torque": False})
    assert "Is its way free?" in done.stderr
    assert [servo.torque for servo in desk.chain.servos] == [False] * 6
    assert desk.chain.servo(1).present == pytest.approx(MIDDLE[0] + 15 * 4095 / 360, abs=40)


def test_the_pose_is_the_embodiments_where_none_is_given(desk: Desk) -> None:
    asked = CliRunner().invoke(app, ["so101", "rest"], input="n\n")

    assert asked.exit_code == 1
    assert "its rest pose (0, -98, 94, 60, 0, 5)" in asked.stderr
    assert "nothing was done" in asked.stderr
    assert [servo.written for servo in desk.chain.servos] == [[]] * 6


def test_release_takes_the_torque_off_where_the_arm_is(desk: Desk) -> None:
    for servo in desk.chain.servos:
        servo.write(40, b"\x01")

    done = CliRunner().invoke(app, ["so101", "rest", "--release", "--yes"])

    assert (done.exit_code, done.stderr) == (0, "the torque is off\n")
    assert [servo.torque for servo in desk.chain.servos] == [False] * 6


def test_where_nobody_can_be_asked_nothing_moves(desk: Desk) -> None:
    done = CliRunner().invoke(app, ["so101", "rest"], input="")

    assert done.exit_code == 1
    assert "say --yes" in done.stderr
    assert [servo.written for servo in desk.chain.servos] == [[]] * 6


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        ("1,2,3", "--pose takes 6 numbers"),
        ("a,b,c,d,e,f", "--pose takes 6 numbers"),
        ("0,-200,0,0,0,0", "shoulder_lift must be -100 to 100"),
        ("nan,0,0,0,0,0", "shoulder_pan must be"),
    ],
)
def test_a_pose_that_is_none_is_refused_before_the_arm_is_asked(pose: str, words: str) -> None:
    done = CliRunner().invoke(app, ["so101", "rest", "--yes", "--pose", pose])

    assert done.exit_code == 1
    assert words in done.stderr


def test_ctrl_c_on_the_way_says_that_the_arm_is_held(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_share: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rest, "_progress", lambda: interrupt)

    done = CliRunner().invoke(app, ["so101", "rest", "--yes"])

    assert done.exit_code == 130
    assert "stopped: whatever had torque keeps it" in done.stderr
    assert [servo.torque for servo in desk.chain.servos] == [True] * 6


def test_progress_is_told_on_a_terminal_in_tenths(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell = rest._progress()
    for share in (0.0, 0.05, 0.1, 0.55, 0.56, 1.0):
        tell(share)

    assert capsys.readouterr().err.split() == [
        *("0", "%", "of", "the", "way"), *("10", "%", "of", "the", "way"),
        *("50", "%", "of", "the", "way"), *("100", "%", "of", "the", "way"),
    ]  # fmt: skip
