"""docs/connect.md: its file can be read, it names every key, and its class runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from docs.documents import REPOSITORY, blocks_of
from reflex.embodiments import load_embodiment
from reflex_runner.config.robot_file import load_robot_config, parse_robot_config
from reflex_runner.config.sections import (
    CameraConfig,
    RecordingConfig,
    SafetyConfig,
    SessionConfig,
    TargetConfig,
)
from support.runner.quick import QuickServer, quick_server

GUIDE: Final = REPOSITORY / "docs" / "connect.md"
TEXT: Final = GUIDE.read_text(encoding="utf-8")


def block(language: str) -> str:
    return next(each.code for each in blocks_of(GUIDE) if each.language == language)


@pytest.fixture(scope="module")
def server() -> Iterator[QuickServer]:
    with quick_server() as made:
        yield made


def test_the_file_of_the_guide_can_be_read() -> None:
    config = parse_robot_config(yaml.safe_load(block("yaml")), Path("/robots"))
    assert (config.hardware.kind, config.session.mode) == ("so101", "dry_run")


@pytest.mark.parametrize(("example", "target"), [("sim.yaml", "act"), ("expert.yaml", "expert")])
def test_the_examples_move_a_simulated_arm_for_a_minute(example: str, target: str) -> None:
    config = load_robot_config(REPOSITORY / "examples" / example, {})
    assert (config.hardware.kind, config.session.mode, config.target.kind) == ("sim", "apply_actions", target)
    assert config.session.max_steps == 60 * load_embodiment("so101_sim").control_hz


def test_make_runs_the_example_in_which_the_cube_is_picked_up() -> None:
    recipe = (REPOSITORY / "Makefile").read_text(encoding="utf-8").split("\nsim: ")[1].split("\n\n")[0]
    named = re.search(r"--config (\S+) --view \$\(ARGS\)", recipe)
    assert named is not None
    assert load_robot_config(REPOSITORY / named[1], {}).target.kind == "expert"


@pytest.mark.parametrize("section", [SessionConfig, TargetConfig, CameraConfig, SafetyConfig, RecordingConfig])
def test_every_key_is_in_the_table(section: type[Any]) -> None:
    missing = [each.name for each in fields(section) if each.name != "settings" and f"`{each.name}`" not in TEXT]
    assert missing == []


def test_the_class_of_the_guide_runs_and_is_not_told_to_move(
    server: QuickServer, capsys: pytest.CaptureFixture[str]
) -> None:
    program = block("py").replace("http://localhost:8000", server.url)
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(program, str(GUIDE), "exec"), names)
    result = names["Arm"]().run(max_steps=3)
    assert (result.ok, result.steps) == (True, 3), result.errors
    assert capsys.readouterr().out == ""
