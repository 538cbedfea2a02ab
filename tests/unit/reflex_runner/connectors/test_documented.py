"""What docs/your-own-robot.md shows runs, and says of settings what they are."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import reflex_runner.connectors.commands
from docs.documents import REPOSITORY, blocks_of
from reflex.connector import Connector
from reflex.testing.connector_contract import RULES, check_connector
from reflex_runner.cameras.build import KINDS, build_camera
from reflex_runner.cameras.file import FileSettings
from reflex_runner.cameras.opencv import OpencvSettings
from reflex_runner.cameras.shm import ShmSettings
from reflex_runner.config.robot_file import load_robot_config
from reflex_runner.connectors.build import build_connector
from reflex_runner.connectors.subprocess import SubprocessSettings

DOCUMENT = REPOSITORY / "docs" / "your-own-robot.md"
EXAMPLES = REPOSITORY / "examples"
TEXT = DOCUMENT.read_text(encoding="utf-8")
PYTHON = [block.code for block in blocks_of(DOCUMENT) if block.language == "python"]
YAML: list[dict[str, Any]] = [yaml.safe_load(block.code) for block in blocks_of(DOCUMENT) if block.language == "yaml"]
SCHEMA = json.loads((Path(reflex_runner.connectors.commands.__file__).parent / "protocol.schema.json").read_text())


def test_the_class_and_its_test_run() -> None:
    names: dict[str, Any] = {"__name__": "documented"}
    for code in PYTHON[:2]:
        exec(compile(code, str(DOCUMENT), "exec"), names)
    arm = names["MyArm"](port="x")

    assert isinstance(arm, Connector)
    check_connector(lambda: names["MyArm"](port="x"), state_dim=6)
    assert names["TestMyArm"]().make_connector().port == "/dev/ttyUSB0"
    assert names["TestMyArm"]().make_failing() is None
    assert len(RULES) == 11  # as the page says: eleven


def test_a_writer_of_shared_memory_runs() -> None:
    exec(compile(PYTHON[2], str(DOCUMENT), "exec"), {})
    assert len(PYTHON) == 3


@pytest.mark.parametrize("name", ["own_arm", "command_arm"])
def test_an_example_is_settings_of_which_a_robot_is_built(name: str) -> None:
    config = load_robot_config(EXAMPLES / f"{name}.yaml", {})
    robot = build_connector(config.hardware.kind, config.hardware.settings, folder=EXAMPLES)
    robot.start()
    seen = robot.get_observation()
    robot.stop()

    assert config.session.mode == "dry_run"
    assert seen.state.shape == (6,)


def test_the_command_can_be_asked_by_hand() -> None:
    line = next(line for line in (EXAMPLES / "command_arm.py").read_text().splitlines() if "echo" in line)
    typed = line.replace("python3", shlex.quote(sys.executable))
    done = subprocess.run(typed, shell=True, cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout)["state"] == [0.0] * 6


def test_settings_in_the_page_are_taken(tmp_path: Path) -> None:
    (tmp_path / "command_arm.py").touch()
    (tmp_path / "my_arm.py").write_text(PYTHON[0])
    for given in YAML:
        for name, camera in given.get("cameras", {}).items():
            build_camera(camera.pop("kind"), camera, name=name)
        hardware = given.get("hardware", {"kind": "lerobot:x"})
        if "python" in hardware:
            hardware["python"] = sys.executable
        build_connector(hardware.pop("kind"), hardware, folder=tmp_path)
    assert len(YAML) == 4


def test_every_setting_of_commands_and_cameras_is_in_the_page() -> None:
    kinds = (SubprocessSettings, OpencvSettings, ShmSettings, FileSettings)
    names = {field.name for kind in kinds for field in dataclasses.fields(kind)}

    assert {name for name in names if f"`{name}`" not in TEXT} == set()
    assert {kind for kind in KINDS if f"**{kind}**" not in TEXT} == set()


def test_requests_and_answers_in_the_page_are_of_the_schema() -> None:
    shown = re.findall(r"^\| .*\{\"op\".*$", TEXT, re.MULTILINE)
    lines = [json.loads(found) for row in shown for found in re.findall(r"`(\{.*?\})`", row)]

    assert len(lines) == 8
    for line in lines:
        jsonschema.Draft202012Validator(SCHEMA).validate(line)
