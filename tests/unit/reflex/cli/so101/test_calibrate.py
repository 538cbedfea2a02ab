from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.cli.so101.calibrate import SHOW_EVERY, _progress
from reflex_runner.so101.calibrating import Ranges
from reflex_runner.so101.calibration import read_calibration
from support.servos.desk import Desk, desk
from support.waiting import wait_until

__all__ = ["desk"]


@contextmanager
def person(desk: Desk, monkeypatch: pytest.MonkeyPatch, *, moves: bool) -> Iterator[None]:
    """Says yes, presses Enter in the middle, moves every joint to both ends, presses Enter and says yes."""
    ends, writes = os.pipe()

    def live() -> None:
        os.write(writes, b"y\n\n")
        wait_until(lambda: released(desk), "the torque is off")
        for away in (-500, 500) if moves else ():
            for servo in desk.chain.servos:
                servo.angle = 2048.0 + away
            wait_until(asked_again(desk, len(desk.chain.packets)), "the joints were measured")
        os.write(writes, b"\ny\n")

    for servo in desk.chain.servos:
        servo.calibrate(0, 0, 4095)
        servo.angle = 2048.0
    thread = threading.Thread(target=live)
    thread.start()
    with os.fdopen(ends, encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield
        thread.join()
    os.close(writes)


def asked_again(desk: Desk, before: int) -> Callable[[], bool]:
    return lambda: len(desk.chain.packets) > before + 2


def released(desk: Desk) -> bool:
    """The first measurement after that is of the middle, the second of a joint on its way."""
    after = [packet for packet in desk.chain.packets if packet[4] == 0x82]
    return sum(packet[5] == 31 for packet in after) >= 2


def test_the_arm_is_calibrated_by_hand_and_servos_and_file_say_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with person(desk, monkeypatch, moves=True), pytest.raises(SystemExit) as ended:
        app(["so101", "calibrate", "--id", "left", "--json"], standalone_mode=False)

    assert not ended.value.code
    said = capsys.readouterr()
    told = json.loads(said.out)
    calibration = read_calibration(desk.file)
    assert told["calibration_id"] == calibration.calibration_id
    assert [joint.registers for joint in calibration.joints] == [(1, 1547, 2547)] * 4 + [(1, 0, 4095), (1, 1547, 2547)]
    assert all(
        servo.signed(31, 11) == 1 and servo.memory[9:11] == (1547).to_bytes(2, "little")
        for servo in desk.chain.servos
        if servo.id != 5
    )
    assert "over the one that is there?" in said.err


def test_joints_that_were_not_moved_are_told_and_nothing_is_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = desk.file.read_bytes()
    with person(desk, monkeypatch, moves=False):
        code = app(["so101", "calibrate", "--id", "left"], standalone_mode=False)

    assert code == 1
    assert "shoulder_pan was moved by 0 steps only" in capsys.readouterr().err
    assert desk.file.read_bytes() == before
    assert {address for servo in desk.chain.servos for address, _ in servo.written} == {40}


def test_where_nobody_presses_enter_nothing_is_written(desk: Desk) -> None:
    asked = CliRunner().invoke(app, ["so101", "calibrate", "--id", "left"], input="n\n")
    alone = CliRunner().invoke(app, ["so101", "calibrate", "--id", "left", "--yes"], input="")
    named = CliRunner().invoke(app, ["so101", "calibrate", "--id", "../x"], input="")

    assert (asked.exit_code, alone.exit_code, named.exit_code) == (1, 1, 1)
    assert "nothing was done" in asked.stderr
    assert "presses Enter; nothing was written" in alone.stderr
    assert "an arm cannot be called" in named.stderr


def test_progress_is_told_on_a_terminal_about_once_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tell = _progress()
    for _ in range(SHOW_EVERY + 1):
        tell(Ranges({1: 5, 6: 7}, {1: 0, 6: 7}, {1: 9, 6: 7}))

    assert capsys.readouterr().err == "shoulder_pan 0..9  gripper 7..7\n"


def reset(desk: Desk) -> None:
    """Servos as they come from the factory, on an arm that was calibrated once."""
    for servo in desk.chain.servos:
        servo.calibrate(0, 0, 4095)


def test_a_calibration_that_is_there_is_written_back_into_the_servos_and_kept_for_its_arm(desk: Desk) -> None:
    reset(desk)
    wanted = read_calibration(desk.file)
    asked = ["so101", "calibrate", "--id", "right", "--from", str(desk.file)]
    went = CliRunner().invoke(app, asked, input="y\ny\n")

    assert went.exit_code == 0, went.output
    assert "in the file" in went.stderr
    assert read_calibration(desk.file.parent / "right.json") == wanted
    for servo, joint in zip(desk.chain.servos, wanted.joints, strict=True):
        servo.switch_off_and_on()
        assert servo.signed(31, 11) == joint.homing_offset
        assert servo.memory[9:13] == joint.range_min.to_bytes(2, "little") + joint.range_max.to_bytes(2, "little")


def test_nothing_is_written_of_another_arms_file_or_of_none_or_without_a_yes(desk: Desk, tmp_path: Path) -> None:
    reset(desk)
    other, none = tmp_path / "other.json", tmp_path / "none.json"
    joints = json.loads(desk.file.read_text())
    joints["elbow_flex"] |= {"homing_offset": 1900, "range_min": 3000, "range_max": 4000}
    other.write_text(json.dumps(joints))
    none.write_text('{"elbow_flex": 3}')
    said = [
        CliRunner().invoke(app, ["so101", "calibrate", "--id", "right", "--from", str(file)], input=told)
        for file, told in ((other, "y\ny\n"), (none, "y\ny\n"), (tmp_path / "no", ""), (desk.file, "n\n"))
    ]
    assert [each.exit_code for each in said] == [1] * 4
    for each, words in zip(said, ("elbow_flex would be at", "is not one of an SO-101", "cannot be read", "nothing"),
                           strict=True):  # fmt: skip
        assert words in each.stderr
        assert "Traceback" not in each.output
    assert all(not servo.written for servo in desk.chain.servos)
    assert not (desk.file.parent / "right.json").exists()
