from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from reflex.cli import app

RUNNER = CliRunner()
REPOSITORY = Path(__file__).parents[4] / "model_repository"


def test_text_for_people_goes_to_stdout_and_says_what_its_times_are() -> None:
    result = RUNNER.invoke(app, ["inspect", str(REPOSITORY), "--policy", "demo"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Lower bounds, not measurements" in result.stdout
    for wanted in ("K/V per request", "vision tower", "H200", "Jetson AGX Orin", "NVIDIA L4 data sheet"):
        assert wanted in result.stdout


def test_the_columns_of_the_gpu_table_are_aligned() -> None:
    lines = RUNNER.invoke(app, ["inspect", str(REPOSITORY)]).stdout.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("GPU "))
    column = lines[first].index("rates from")
    assert all(line[column:].startswith("NVIDIA ") for line in lines[first + 1 : first + 8])


def test_json_is_one_value_with_the_same_figures() -> None:
    result = RUNNER.invoke(app, ["inspect", str(REPOSITORY / "demo"), "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["parameters"]["live"] == sum(found["parameters"]["parts"].values())
    assert found["weight_bytes"]["fp32"] == 2 * found["weight_bytes"]["fp16"]
    assert found["flops_per_chunk"] == sum(phase["flops"] for phase in found["phases"])
    assert "not measurements" in found["lower_bounds_are"]


def test_a_folder_without_a_checkpoint_is_an_error_on_stderr(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["inspect", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "config.json" in result.stderr


def test_an_unknown_policy_is_an_error_in_json(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["inspect", str(tmp_path), "--policy", "absent", "--json"])
    assert result.exit_code == 1
    assert "absent" in json.loads(result.stdout)["message"]


def test_steps_of_an_exported_policy_are_refused_rather_than_ignored() -> None:
    result = RUNNER.invoke(app, ["inspect", str(REPOSITORY / "demo"), "--steps", "4"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "leave --steps out" in result.stderr
