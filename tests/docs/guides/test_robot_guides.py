"""The commands of the robot's guides run, as they are printed: on servos behind a pty, and on a server of its own.

What `pip install` brings is held by test_runner_install.py, and the simulated arm beside a server that is asked, which
`make sim` and `make serve` are, by tests/integration/runner. What would go on until Ctrl-C gets `--max-steps` here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from docs.documents import REPOSITORY, blocks_of
from docs.test_commands_to_type import commands_of
from reflex.cli import app
from reflex_runner.config import load_robot_config
from reflex_runner.so101 import search
from reflex_runner.so101.search import SerialPort
from support.outside.drawing import skip_without_pictures
from support.runner.quick import QuickServer, quick_server
from support.runner.served import config_of
from support.servos.desk import Desk, desk

__all__ = ["desk"]

GUIDES: Final = ("connect", "simulator", "so101", "your-own-robot", "what-stops-it", "recordings")
STEPS: Final = 3
HERE: Final = {
    "connect --init so101", "connect --init sim", "connect --check", "connect", "so101 find", "so101 check",
    "datasets repair recordings",
}  # fmt: skip
LEROBOTS_FILE: Final = "~/.cache/huggingface/lerobot/calibration/robots/so_follower/left.json"
ELSEWHERE: Final = {
    "so101 calibrate --id left": "tests/unit/reflex/cli/so101/test_calibrate.py",
    f"so101 calibrate --id left --from {LEROBOTS_FILE}": "tests/unit/reflex/cli/so101/test_calibrate.py",
    "connect --config demonstrations.yaml --episodes 500": "tests/unit/reflex/cli/connect/test_episodes.py",
    "connect --config robot.yaml --mark-episodes": "tests/unit/reflex/cli/connect/test_keys.py",
}
"""By what runs it."""


def typed(guide: str) -> list[str]:
    """What follows `reflex` in each line of the guide that is to be typed."""
    document = REPOSITORY / "docs" / f"{guide}.md"
    code = "\n".join(block.code for block in blocks_of(document))
    console = re.findall(r"^\$ reflex (.*)$", code, re.MULTILINE)
    return [" ".join(words) for words in commands_of(document)] + console


@pytest.fixture(scope="module")
def server() -> Iterator[QuickServer]:
    """Of a policy for the arm, without cameras, that wants it where it is."""
    with quick_server() as made:
        made.config = config_of("so101", cameras=[], prompt=None)
        yield made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Types a command into the reader's folder; it must end well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFLEX_CONFIG_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("REFLEX_NO_RECORD", raising=False)

    def typed_in(command: str, *more: str) -> str:
        done = CliRunner().invoke(app, [*command.split(), *more])
        assert done.exit_code == 0, done.output
        return str(done.output)

    return typed_in


def test_every_command_of_the_guides_is_run_by_a_test() -> None:
    printed = {command for guide in GUIDES for command in typed(guide)}
    assert printed == HERE | set(ELSEWHERE)
    assert [path for path in ELSEWHERE.values() if not (REPOSITORY / path).is_file()] == []


@pytest.mark.slow
def test_an_so101_is_found_checked_and_run_and_its_recordings_are_repaired(
    run: Callable[..., str], desk: Desk, server: QuickServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "serial_ports", lambda: [SerialPort(desk.servos.port, 0x1A86)])
    assert desk.servos.port in run("so101 find")
    assert "shoulder_pan" in run("so101 check")

    run("connect --init so101")
    path = tmp_path / "robot.yaml"
    edited: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    edited["target"] |= {"url": server.url, "timeout_s": 20.0}
    edited["safety"] |= {"hold_after_ms": 20_000, "stop_after_ms": 50_000}
    del edited["cameras"]  # the policy has none
    path.write_text(yaml.safe_dump(edited), encoding="utf-8")

    assert "Nothing moved." in run("connect --check")
    assert f"{STEPS} steps, none applied (dry_run)" in run("connect", "--max-steps", str(STEPS))
    assert all(not servo.torque for servo in desk.chain.servos), "as the guide says: nothing moves yet"
    assert "1 recording looked at: 0 things done" in run("datasets repair recordings")


@pytest.mark.slow
def test_the_simulated_arm_is_run_shown_and_replayed(
    run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the expert, as simulator.md says: that needs no server."""
    skip_without_pictures()
    (tmp_path / "examples").mkdir()
    told: dict[str, Any] = yaml.safe_load((REPOSITORY / "examples" / "sim.yaml").read_text(encoding="utf-8"))
    told["target"] = {"kind": "expert"}
    told["safety"] = {"hold_after_ms": 20_000, "stop_after_ms": 50_000}
    (tmp_path / "examples" / "sim.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")

    said = run("connect --config examples/sim.yaml --view", "--max-steps", str(STEPS))
    assert "the run can be watched at http://127.0.0.1:" in said
    [recording] = (tmp_path / "recordings").iterdir()
    assert (recording / "run.mp4").stat().st_size > 0
    again = run(f"connect --config examples/sim.yaml --replay recordings/{recording.name}", "--no-record")
    assert "0 safe stops" in again


def test_a_simulated_arms_settings_are_written_and_can_be_read(run: Callable[..., str]) -> None:
    run("connect --init sim")
    assert load_robot_config(Path("robot.yaml"), {}).hardware.kind == "sim"


def test_the_program_of_the_simulators_page_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    [program] = [each.code for each in blocks_of(REPOSITORY / "docs" / "simulator.md") if each.language == "python"]
    exec(compile(program, "simulator.md", "exec"), {"np": np})
    assert capsys.readouterr().out.split("\n")[:-1] == re.findall(r"^# (.*)$", program, re.MULTILINE)
