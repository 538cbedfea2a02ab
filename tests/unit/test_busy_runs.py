"""`make busy-runs` counts what it was told to, goes on while runs are green, and is red at the first that is not."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from busy_runs.__main__ import busy_programs, main


def clone(tmp_path: Path, recipe: str) -> list[str]:
    folder = tmp_path / "a clone"
    folder.mkdir()
    (folder / "Makefile").write_text(f"test:\n\t@{recipe}\n")
    return ["--folder", str(folder), "--busy", "1"]


def test_every_run_is_a_line_and_their_times_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*clone(tmp_path, "echo '== 7 passed in 0.1s =='"), "--runs", "2"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("  ")[2] for line in lines[:2]] == ["7 passed in 0.1s"] * 2
    assert lines[2].startswith("2 runs beside 1 busy programs: all green, ")


def test_what_the_outer_make_was_told_is_not_told_to_the_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAKEFLAGS", "-- ARGS=--runs\\ 2")
    assert main([*clone(tmp_path, "echo told $(ARGS)."), "--runs", "1"]) == 0
    assert "told ." in capsys.readouterr().out


def test_the_first_red_run_is_the_last_and_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*clone(tmp_path, "echo why it failed; echo 1 failed; exit 1"), "--runs", "3"]) == 1

    out = capsys.readouterr().out
    assert "run 1: " in out
    assert "why it failed" in out
    assert "run 2" not in out


def test_the_busy_programs_are_as_many_as_asked_for_and_end_with_it() -> None:
    before = set(psutil.Process().children())
    with busy_programs(2):
        busy = set(psutil.Process().children()) - before
        assert len(busy) == 2
    assert set(psutil.Process().children()) - before == set()
