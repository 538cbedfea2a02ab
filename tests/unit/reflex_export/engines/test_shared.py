from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from reflex.errors import RepositoryError, SetupError
from reflex.file_lock import LockHeldError
from reflex.shared_engines import LOCK
from reflex_export.engines import BuildOptions
from reflex_export.engines.shared import SharedBuild, build_shared, fingerprint

RTX = BuildOptions("tensorrt-rtx")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Files of which no engine can be made: there is no policy among them."""
    folder = tmp_path / "repository"
    (folder / "cup" / "1").mkdir(parents=True)
    (folder / "cup" / "config.pbtxt").write_text("name: 'cup'\n", encoding="utf-8")
    return folder


def order(repository: Path, folder: Path, *, lock_timeout_s: float = 0.0) -> SharedBuild:
    return SharedBuild(repository, folder, RTX, None, folder / "cache", lock_timeout_s)


def test_the_fingerprint_is_that_of_the_contents_and_not_of_the_place(repository: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(repository, tmp_path / "copy", copy_function=shutil.copyfile))

    assert fingerprint(copy, "sm89") == fingerprint(repository, "sm89")


@pytest.mark.parametrize("changed", ["cup/config.pbtxt", "cup/1/model.onnx"])
def test_another_fingerprint_follows_from_any_file_and_from_what_is_built_for(changed: str, repository: Path) -> None:
    before = fingerprint(repository, "sm89")
    (repository / changed).write_text("name: 'pot'\n", encoding="utf-8")  # as long as before

    assert len({before, fingerprint(repository, "sm89"), fingerprint(repository, "sm90")}) == 3


def test_what_a_file_system_keeps_for_itself_changes_no_fingerprint(repository: Path) -> None:
    before = fingerprint(repository, "sm89")
    (repository / "lost+found").mkdir()
    (repository / "lost+found" / "#12").write_bytes(b"x")
    (repository / ".snapshot").write_bytes(b"x")

    assert fingerprint(repository, "sm89") == before


def test_an_empty_repository_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(RepositoryError, match="empty is empty; is it the right folder"):
        build_shared(order(tmp_path / "empty", tmp_path / "shared"), print)
    assert not (tmp_path / "shared").exists()


def test_a_build_that_fails_leaves_nothing_to_serve_and_the_repository_as_it_was(
    repository: Path, tmp_path: Path
) -> None:
    before = sorted(repository.rglob("*"))
    said: list[str] = []

    with pytest.raises(RepositoryError, match="holds no policy"):
        build_shared(order(repository, tmp_path / "shared"), said.append)

    assert [path.name for path in (tmp_path / "shared").iterdir()] == [LOCK]
    assert sorted(repository.rglob("*")) == before
    assert len(said) == 1
    assert said[0].startswith("building with tensorrt-rtx ")


def test_who_waits_too_long_for_another_build_says_which_file_it_holds(repository: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with (tmp_path / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LockHeldError, match=rf"holds {tmp_path}/\{LOCK}; wait until it is done"):
            build_shared(order(repository, tmp_path), said.append)

    assert said == ["waiting for another build"]


def test_a_folder_that_cannot_be_written_is_a_sentence(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(SetupError, match=r"engines cannot be shared in .*file/shared"):
        build_shared(order(repository, tmp_path / "file" / "shared"), print)
