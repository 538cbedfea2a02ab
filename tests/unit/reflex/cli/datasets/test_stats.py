"""`reflex datasets stats`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from support.datasets.defects import DEFECTS
from support.datasets.drafts import healthy
from support.datasets.writing import make


@pytest.mark.slow
def test_each_value_has_its_line_and_nothing_is_written_unasked(tmp_path: Path) -> None:
    root = DEFECTS["stats-moments"].make(tmp_path)
    before = (root / "meta" / "stats.json").read_bytes()
    done = CliRunner().invoke(app, ["datasets", "stats", str(root)])

    assert done.exit_code == 0, done.output
    assert done.stdout.count("action[") == 6
    assert "timestamp  min 0  q01 0" in done.stdout
    assert (root / "meta" / "stats.json").read_bytes() == before


def test_as_json_they_are_what_is_written(tmp_path: Path) -> None:
    root = make(healthy("image", (31, 32)), tmp_path)
    done = CliRunner().invoke(app, ["datasets", "stats", str(root), "--write", "--json"])

    assert json.loads(done.stdout) == json.loads((root / "meta" / "stats.json").read_text())
    assert json.loads(done.stdout)["action"]["count"] == [63]


def test_what_is_no_dataset_is_one_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["datasets", "stats", str(tmp_path)])

    assert done.exit_code == 1
    assert "has no meta/info.json" in done.stderr
