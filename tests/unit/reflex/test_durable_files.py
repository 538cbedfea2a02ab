from __future__ import annotations

import os
from pathlib import Path

import pytest

from reflex.durable_files import copy_file, link_file, partial_of, replace_file, sync_tree, take_name


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was forced to disk or renamed, in order."""
    done: list[tuple[str, str]] = []
    rename = Path.rename

    def noted_fsync(descriptor: int) -> None:
        done.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))

    def noted_rename(path: Path, target: Path) -> Path:
        done.append(("rename", path.name))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    return done


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "model.plan"
    path.write_bytes(b"old")
    partial_of(path).write_bytes(b"of a killed build")

    replace_file(path, b"new")

    assert contents(tmp_path) == {"model.plan": b"new"}


def test_a_copy_takes_its_name_at_the_end(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    (tmp_path / "source").write_bytes(b"weights")

    copy_file(tmp_path / "source", tmp_path / "model.plan")

    assert contents(tmp_path) == {"source": b"weights", "model.plan": b"weights"}
    assert steps == [("sync", ".model.plan.partial"), ("rename", ".model.plan.partial"), ("sync", tmp_path.name)]


def test_a_folder_is_on_disk_with_all_that_it_holds_before_it_takes_its_name(
    tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    (tmp_path / "partial" / "1").mkdir(parents=True)
    (tmp_path / "partial" / "1" / "model.plan").write_bytes(b"plan")

    take_name(tmp_path / "partial", tmp_path / "whole")

    synced, rest = steps[: steps.index(("rename", "partial"))], steps[steps.index(("rename", "partial")) :]
    assert sorted(synced) == [("sync", "1"), ("sync", "model.plan"), ("sync", "partial")]
    assert rest == [("rename", "partial"), ("sync", tmp_path.name)]


def test_a_file_and_a_folder_are_both_synced_whole(tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    (tmp_path / "file").touch()

    sync_tree(tmp_path / "file")
    sync_tree(tmp_path)

    assert steps == [("sync", "file"), ("sync", "file"), ("sync", tmp_path.name)]


def test_replacing_a_linked_file_leaves_its_other_name_alone(tmp_path: Path) -> None:
    (tmp_path / "first").write_bytes(b"old")
    link_file(str(tmp_path / "first"), str(tmp_path / "second"))

    replace_file(tmp_path / "second", b"new")

    assert contents(tmp_path) == {"first": b"old", "second": b"new"}
