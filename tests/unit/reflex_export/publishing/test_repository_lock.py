"""Exports and builds of engines keep each other out of a repository, and say who is at work."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from reflex.errors import RepositoryError
from reflex_export.publishing import repository_lock
from reflex_export.publishing.repository_lock import LOCK_FILE, lock_repository
from reflex_export.publishing.staged import staging
from reflex_export.publishing.transaction import scratch_folder
from support.waiting import HANGS_S


def test_an_export_is_refused_while_engines_are_built_and_is_told_by_whom(tmp_path: Path) -> None:
    with (
        scratch_folder(tmp_path, "a build of engines"),
        pytest.raises(
            RepositoryError, match=rf"^a build of engines \(process {os.getpid()}\) is writing into .*; wait"
        ),
        staging(tmp_path),
    ):
        pass


def test_a_build_of_engines_waits_for_an_export_and_says_for_whom(tmp_path: Path) -> None:
    heard: list[str] = []
    waits, done = threading.Event(), threading.Event()

    def hear(holder: str) -> None:
        heard.append(holder)
        waits.set()

    def build() -> None:
        with scratch_folder(tmp_path, "a build of engines", hear):
            done.set()

    builder = threading.Thread(target=build)
    with staging(tmp_path):
        builder.start()
        assert waits.wait(HANGS_S)
        assert not done.is_set()
    builder.join(HANGS_S)

    assert done.is_set()
    assert heard == [f"another export (process {os.getpid()})"]


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_lock, "TIMEOUT_S", 0.0)
    with (
        scratch_folder(tmp_path),
        pytest.raises(RepositoryError, match="another export"),
        scratch_folder(tmp_path, "a build of engines", lambda _: None),
    ):
        pass


def test_a_lock_whose_holder_died_is_free(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("another export (process 1)")

    with ExitStack() as afterwards:
        lock_repository(tmp_path, "a build of engines", afterwards)
        assert (tmp_path / LOCK_FILE).read_text() == f"a build of engines (process {os.getpid()})"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_made_for_nothing_is_gone_and_one_that_was_there_stays(tmp_path: Path) -> None:
    with staging(tmp_path / "new"):
        pass
    with staging(tmp_path):
        pass

    assert tmp_path.exists()
    assert not list(tmp_path.iterdir())
