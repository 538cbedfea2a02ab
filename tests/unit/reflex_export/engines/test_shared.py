from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from reflex.errors import RepositoryError, SetupError
from reflex.file_lock import LockHeldError
from reflex.shared_engines import LOCK
from reflex_export.engines import BuildOptions, shared
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


class Changing:
    """A repository into which someone writes after each of the first `times` looks at it."""

    def __init__(self, repository: Path, times: int, *, is_removed: bool = False) -> None:
        self.repository, self._left, self._is_removed = repository, times, is_removed

    def fingerprint(self, folder: Path, built_for: str) -> str:
        found = fingerprint(folder, built_for)
        if folder == self.repository and self._left:
            self._left -= 1
            (folder / "cup" / "1" / "model.onnx").write_text(f"export {self._left}")
        return found

    def copy(self, folder: Path, copy: Path) -> None:
        """One whose first copy finds a file gone that was there."""
        if self._is_removed:
            self._is_removed = False
            raise FileNotFoundError(folder / "cup" / "config.pbtxt")
        shutil.copytree(folder, copy, copy_function=shutil.copyfile)


def build_nothing(copy: Path, *_: object, **__: object) -> tuple[()]:
    (copy / "cup" / "1" / "model.plan").write_bytes((copy / "cup" / "1" / "model.onnx").read_bytes())
    return ()


def test_an_export_that_comes_between_look_and_copy_gets_a_place_of_its_own(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "cup" / "1" / "model.onnx").write_text("before")
    monkeypatch.setattr(shared, "fingerprint", Changing(repository, 1).fingerprint)
    monkeypatch.setattr(shared, "build_repository", build_nothing)
    said: list[str] = []

    first = build_shared(order(repository, tmp_path / "shared"), said.append)
    (repository / "cup" / "1" / "model.onnx").write_text("before")
    second = build_shared(order(repository, tmp_path / "shared"), said.append)

    assert (first.place / "cup" / "1" / "model.plan").read_text() == "export 0"
    assert (second.place / "cup" / "1" / "model.plan").read_text() == "before"
    assert said[1] == f"{repository} changed while it was copied; copying it again"
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {
        LOCK, "current", first.place.name, second.place.name,
    }  # fmt: skip


def test_a_file_that_goes_while_it_is_copied_is_such_a_change(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "cup" / "1" / "model.onnx").write_text("after")
    monkeypatch.setattr(shared, "_copy", Changing(repository, 0, is_removed=True).copy)
    monkeypatch.setattr(shared, "build_repository", build_nothing)

    place = build_shared(order(repository, tmp_path / "shared"), print).place

    assert (place / "cup" / "1" / "model.plan").read_text() == "after"


def test_a_repository_that_never_stands_still_is_built_of_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "fingerprint", Changing(repository, 9).fingerprint)

    with pytest.raises(RepositoryError, match="wait until nobody writes into it, then build again"):
        build_shared(order(repository, tmp_path / "shared"), print)

    assert [path.name for path in (tmp_path / "shared").iterdir()] == [LOCK]


def test_a_link_that_leads_nowhere_is_named(repository: Path, tmp_path: Path) -> None:
    link = repository / "cup" / "1" / "model.onnx.data"
    link.symlink_to(tmp_path / "gone")

    with pytest.raises(RepositoryError, match=rf"{link} cannot be copied: nothing is there; is it a link"):
        build_shared(order(repository, tmp_path / "shared"), print)
