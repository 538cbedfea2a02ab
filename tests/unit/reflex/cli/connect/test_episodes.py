"""`reflex connect --episodes N` plays, counts, and says it for people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app

LINES = """\
hardware: {{kind: 'support.runner.reaching:Reaching'}}
target: {{kind: expert}}
session: {{mode: {mode}, max_steps: 60}}
safety: {{ease_in_s: 0.1}}
"""


@pytest.fixture(autouse=True)
def expert_of_any_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The expert belongs to the simulator; here it is that of a robot without physics."""
    from reflex_runner.config import robot_file

    monkeypatch.setattr(robot_file, "_refuse_contradictions", lambda _config: None)


def written(folder: Path, mode: str = "apply_actions") -> str:
    path = folder / "robot.yaml"
    path.write_text(LINES.format(mode=mode), "utf-8")
    return str(path)


@pytest.mark.slow
def test_they_are_counted_for_people_and_as_json(tmp_path: Path) -> None:
    asked = ["connect", "--config", written(tmp_path), "--episodes", "3"]
    people = CliRunner().invoke(app, [*asked, "--no-record"])
    assert people.exit_code == 0, people.output
    assert people.stdout == "success 3 of 3\n"
    assert "reflex: episode 3, seed 2: success after" in people.stderr
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert (told["ok"], told["successes"], len(told["episodes"])) == (True, 3, 3)
    assert Path(told["recordings"][0], "episodes.jsonl").is_file()


def test_what_cannot_be_played_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    asked = ["connect", "--config", written(tmp_path, "dry_run"), "--episodes", "3"]
    went = CliRunner().invoke(app, asked)
    assert went.exit_code == 1
    assert "in dry_run nothing moves" in went.stderr
    assert "Traceback" not in went.output
