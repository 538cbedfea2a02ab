"""`reflex datasets convert`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from reflex.cli import app
from support.datasets.drafts import healthy
from support.datasets.version_2 import write_old


def test_it_says_where_the_new_one_lies_and_a_second_time_that_it_is_there(tmp_path: Path) -> None:
    old, new = write_old(healthy("image", (31, 32)), tmp_path / "old"), tmp_path / "new"
    first = CliRunner().invoke(app, ["datasets", "convert", str(old), "--out", str(new)])
    second = CliRunner().invoke(app, ["datasets", "convert", str(old), "--out", str(new), "--json"])

    assert (first.exit_code, first.stdout) == (0, "")
    assert f"written: {new}" in first.stderr
    assert (second.exit_code, json.loads(second.stdout)["error"]) == (1, "dataset")


def test_an_old_one_is_told_how_to_become_a_new_one(tmp_path: Path) -> None:
    old = write_old(healthy("image", (31,)), tmp_path / "old")
    shown = CliRunner().invoke(app, ["datasets", "show", str(old)])
    validated = CliRunner().invoke(app, ["datasets", "validate", str(old)])

    assert (shown.exit_code, validated.exit_code) == (1, 1)
    assert "reflex datasets convert" in shown.stderr
    assert "reflex datasets convert" in validated.stdout
