"""`reflex datasets repair`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from support.datasets.defects import DEFECTS
from support.run_recording.runs import interrupted, recorded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One whole recording, and one whose only episode never ended."""
    recorded(tmp_path, ["jsonl"], {12: True})
    interrupted(tmp_path, ["jsonl"])
    return tmp_path


@pytest.mark.slow
def test_it_says_what_it_does_and_a_second_time_that_there_is_nothing_to_do(folder: Path) -> None:
    first = CliRunner().invoke(app, ["datasets", "repair", str(folder)])
    second = CliRunner().invoke(app, ["datasets", "repair", str(folder)])

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.stdout.count("finished: ") == 3
    assert "2 recordings looked at: 3 things done" in first.stderr
    assert (second.stdout, "2 recordings looked at: 0 things done" in second.stderr) == ("", True)


@pytest.mark.slow
def test_a_dry_run_as_json_says_what_would_be_done_and_does_nothing(folder: Path) -> None:
    done = CliRunner().invoke(app, ["datasets", "repair", str(folder), "--dry-run", "--json"])
    told = json.loads(done.stdout)

    assert (told["dry_run"], told["recordings"], told["being_recorded"]) == (True, 2, [])
    assert [(Path(step["path"]).name, step["did"]) for step in told["steps"]] == [
        ("episode-000000.open", "finished"), ("episode-000000.jsonl.open", "finished"),
        ("episodes.jsonl", "finished"),
    ]  # fmt: skip
    assert len(list(folder.rglob("*.open"))) == 2


def test_a_folder_without_recordings_is_one_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["datasets", "repair", str(tmp_path)])

    assert done.exit_code == 1
    assert "holds no recording of `reflex connect`" in done.stderr


@pytest.mark.slow
def test_a_dataset_is_written_beside_and_each_thing_that_was_done_is_a_line(tmp_path: Path) -> None:
    old, new = DEFECTS["finite"].make(tmp_path / "old"), tmp_path / "new"
    dry = CliRunner().invoke(app, ["datasets", "repair", str(old), "--out", str(new), "--dry-run"])
    done = CliRunner().invoke(app, ["datasets", "repair", str(old), "--out", str(new)])
    again = CliRunner().invoke(app, ["datasets", "repair", str(old), "--out", str(new), "--json"])

    dropped = "dropped: episode 0: finite: action holds a NaN, an infinity or nothing, frame 3\n"
    assert (dry.exit_code, dry.stdout) == (0, f"would be {dropped}")
    assert done.exit_code == 0
    assert done.stdout.startswith(dropped)
    assert "holds now: finite: action holds a NaN" in done.stdout
    assert "3 episodes with 137 frames of 4 with 173" in done.stderr
    assert f"written: {new}" in done.stderr
    assert (again.exit_code, json.loads(again.stdout)["error"]) == (1, "dataset")


def test_a_dataset_without_a_place_for_the_new_one_is_told_how(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    done = CliRunner().invoke(app, ["datasets", "repair", str(tmp_path)])

    assert done.exit_code == 1
    assert f"run: reflex datasets repair {tmp_path} --out DIR" in done.stderr
