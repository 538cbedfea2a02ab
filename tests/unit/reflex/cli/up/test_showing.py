"""`reflex demo run`: what the arm is like for a policy, and what is refused before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.cli.up.showing import robot_file
from reflex.policy_config import PolicyConfig, TensorConfig, read_policy_config
from reflex_runner.config import load_robot_config
from support.server import free_port

SHIPPED = Path(__file__).parents[5] / "model_repository"
RUNNER = CliRunner()


@pytest.fixture
def config() -> PolicyConfig:
    return read_policy_config(SHIPPED / "sim_demo")


def test_the_arm_has_the_cameras_that_the_policy_names(config: PolicyConfig, tmp_path: Path) -> None:
    (tmp_path / "robot.yaml").write_text(robot_file(config, "http://127.0.0.1:1", 42))

    robot = load_robot_config(tmp_path / "robot.yaml")

    assert (robot.hardware.kind, robot.session.mode, robot.target.url) == ("sim", "apply_actions", "http://127.0.0.1:1")
    assert robot.hardware.settings["cameras"] == {"front": "front", "wrist": "wrist"}
    assert (robot.hardware.settings["seed"], robot.hardware.settings["width"]) == (42, 96)


def test_its_pictures_are_as_large_as_the_policy_takes_them(config: PolicyConfig, tmp_path: Path) -> None:
    small = tuple(
        TensorConfig(name=each.name, datatype=each.datatype, shape=(48, 64, 3)) if each.name == "image.front" else each
        for each in config.inputs
    )
    (tmp_path / "robot.yaml").write_text(robot_file(config.model_copy(update={"inputs": small}), "http://a", 0))

    settings = load_robot_config(tmp_path / "robot.yaml").hardware.settings

    assert (settings["width"], settings["height"]) == (64, 48)


def test_a_policy_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    refused = RUNNER.invoke(app, ["demo", "run", "--policy", "no_such", "--port", str(free_port())])
    assert refused.exit_code == 1
    assert "holds no no_such: choose with --policy one of demo, " in " ".join(refused.stderr.split())
    empty = RUNNER.invoke(app, ["demo", "run", "--model-repository", str(tmp_path), "--port", str(free_port())])
    assert "one of none; pick_up_the_cube is in model_repository/ of a clone" in " ".join(empty.stderr.split())


def test_without_the_simulator_no_server_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    refused = RUNNER.invoke(app, ["demo", "run", "--port", str(free_port())])

    assert refused.exit_code == 1
    assert "reflex demo run needs the package mujoco" in " ".join(refused.stderr.split())
    assert "server" not in refused.output
