"""The published schema and what reads the lines say the same of each line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import reflex_runner.connectors.commands
from reflex.connector import ActionChunk
from reflex_runner.connectors.commands.answers import parse_answer, parse_observation
from reflex_runner.errors import HardwareError
from support.robots.commands import journal_of, robot_that
from support.waiting import wait_until

SCHEMA = json.loads((Path(reflex_runner.connectors.commands.__file__).parent / "protocol.schema.json").read_text())
PIXELS = {"rgb": "AAAA", "width": 1, "height": 1}


def is_valid(value: object, kind: str) -> bool:
    schema = {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def is_read(answer: dict[str, Any], folder: Path) -> bool:
    try:
        read = parse_answer(json.dumps(answer).encode(), "observe", None)
        parse_observation(read, "observe", asked_s=1.0, now_s=2.0, state_dim=None, folder=folder)
    except HardwareError:
        return False
    return True


@pytest.mark.parametrize(
    ("answer", "is_good"),
    [
        ({"state": [1, 2.5]}, True),
        ({"state": [1], "task": None, "captured_s": None, "cameras": {}}, True),
        ({"state": [1], "task": "pick", "captured_s": 1.5, "seq": 9}, True),
        ({"state": [1], "cameras": {"front": PIXELS, "wrist": {"path": "a.png", "captured_s": 1}}}, True),
        ({}, False),
        ({"state": []}, False),
        ({"state": [None]}, False),
        ({"state": ["1"]}, False),
        ({"state": [True]}, False),
        ({"state": [1e39]}, False),
        ({"state": [1], "sate": 1}, False),
        ({"state": [1], "task": 1}, False),
        ({"state": [1], "captured_s": -1}, False),
        ({"state": [1], "cameras": []}, False),
        ({"state": [1], "cameras": {"front": "a.png"}}, False),
        ({"state": [1], "cameras": {"front": {"path": "a.png", "base64": "x"}}}, False),
        ({"state": [1], "cameras": {"front": {**PIXELS, "width": 0}}}, False),
        ({"state": [1], "cameras": {"front": {"rgb": "AAAA"}}}, False),
        ({"state": [1], "cameras": {"front": {"path": ""}}}, False),
    ],
)
def test_an_observation_is_valid_and_read_or_neither(answer: dict[str, Any], is_good: bool, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    assert (is_valid(answer, "observation"), is_read(answer, tmp_path)) == (is_good, is_good)


def test_what_is_sent_is_a_request(tmp_path: Path) -> None:
    robot = robot_that("well", tmp_path, persistent=True)
    robot.start()
    robot.get_observation()
    robot.apply_action(ActionChunk(np.array([[1.0, 2.0]], np.float32), 0.05))
    wait_until(lambda: len(journal_of(tmp_path)) == 3, "it is applied")
    robot.safe_stop("enough")
    robot.stop()

    sent = journal_of(tmp_path)
    assert {request["op"] for request in sent} == {"start", "observe", "apply", "safe_stop"}
    assert [request for request in sent if not is_valid(request, "request")] == []


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert is_valid({"ok": True, "seq": 2}, "done")
    assert not is_valid({"ok": False}, "done")
    assert is_valid({"error": "joint 3 is hot"}, "error")
