"""`reflex training setup` and `worker` refuse before anything is installed or asked, and say what to do."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from reflex.cli import app


def test_no_python_is_said_with_the_fix(tmp_path: Path) -> None:
    argv = ["training", "setup", "--folder", str(tmp_path / "trainer"), "--python", "/no/python", "--json"]
    result = CliRunner().invoke(app, argv)

    assert result.exit_code == 1
    assert "uv python install 3.12" in json.loads(result.stdout)["message"]
    assert not (tmp_path / "trainer").exists()


def test_an_unknown_family_is_wrong_usage(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["training", "setup", "--folder", str(tmp_path), "--family", "tdmpc"])

    assert result.exit_code == 2
    assert "tdmpc" in result.stderr


def test_a_worker_without_a_trainer_says_how_one_is_made(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["training", "worker", "--data", str(tmp_path), "--json"])

    assert result.exit_code == 1
    assert "reflex training setup" in json.loads(result.stdout)["message"]
