from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from reflex.cli import app

RUNNER = CliRunner()


def test_the_copy_says_how_to_serve_it(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["demo", "copy", str(tmp_path / "models")])

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"copied; next: reflex serve --model-repository {tmp_path}/models\n"
    assert (tmp_path / "models" / "demo" / "reflex_config.json").is_file()


def test_json_is_one_value_whether_it_was_copied_or_refused(tmp_path: Path) -> None:
    command = ["demo", "copy", str(tmp_path), "--json"]
    copied, refused, replaced = (RUNNER.invoke(app, [*command, *more]) for more in ([], [], ["--replace"]))

    assert [each.exit_code for each in (copied, refused, replaced)] == [0, 1, 0]
    assert json.loads(copied.stdout) == json.loads(replaced.stdout) == {"repository": str(tmp_path)}
    assert json.loads(refused.stdout)["error"] == "setup"
