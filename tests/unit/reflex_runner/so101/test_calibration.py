from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex_runner.so101.calibration import Calibration, parse_calibration, read_calibration, write_calibration
from reflex_runner.so101.errors import CalibrationError
from support.servos.arms import CALIBRATION, calibration_text


def changed(motor: str, **values: object) -> bytes:
    file: dict[str, dict[str, Any]] = json.loads(calibration_text())
    file[motor] |= values
    return json.dumps(file).encode()


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "robots" / "so_follower" / "left.json"

    write_calibration(file, CALIBRATION)

    assert read_calibration(file) == CALIBRATION
    assert json.loads(file.read_text()) == json.loads(calibration_text())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"{", "Invalid JSON"),
        (b"{}", "its motors are none"),
        (b'{"a": {"id": 1, "drive_mode": 0, "homing_offset": 0, "range_min": 0, "range_max": 1}}', "its motors are a,"),
        (changed("gripper", id=5), "gripper has the id 5, not 6"),
        (changed("gripper", range_min=4095), "gripper: range_min 4095 is not below range_max 3200"),
        (changed("wrist_roll", range_max=4096), "wrist_roll.range_max: .*less than 4096"),
        (changed("wrist_roll", homing_offset=-2048), "wrist_roll.homing_offset"),
        (changed("wrist_roll", homing_offset=1.5), "wrist_roll.homing_offset: .*integer"),
        (changed("wrist_roll", drive_mode=2), "wrist_roll.drive_mode"),
        (changed("wrist_roll", start_pos=2), "wrist_roll.start_pos"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_calibration_says_what_is_wrong_in_it(tmp_path: Path, text: bytes, complaint: str) -> None:
    file = tmp_path / "left.json"
    file.write_bytes(text)

    with pytest.raises(
        CalibrationError, match=rf"{file} is not one of an SO-101 \(.*{complaint}.*reflex so101 calibrate"
    ):
        read_calibration(file)


@pytest.mark.slow
def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"left.json cannot be read \(No such file"):
        read_calibration(tmp_path / "left.json")


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_calibration(text)


@pytest.mark.parametrize("field", ["drive_mode", "homing_offset", "range_min", "range_max"])
def test_the_id_is_another_for_whatever_changes_a_position(field: str) -> None:
    joints = list(CALIBRATION.joints)
    joints[2] = replace(joints[2], **{field: 1})

    assert Calibration(tuple(joints)).calibration_id != CALIBRATION.calibration_id
    assert parse_calibration(calibration_text()).calibration_id == CALIBRATION.calibration_id
