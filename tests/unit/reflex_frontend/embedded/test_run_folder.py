"""The folder with Triton's socket: for its owner alone, short enough, and gone with its owner."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reflex_frontend.embedded.cleanup import owner_prefix, remove_folders_of_dead_owners
from reflex_frontend.embedded.run_folder import RunFolder


@pytest.mark.parametrize("below", [None, "/with a space", "/" + 80 * "l"], ids=["as given", "unsafe", "too long"])
def test_its_socket_can_be_bound_wherever_tmpdir_is_and_nobody_else_may_enter(
    below: str | None, tmp_path: Path
) -> None:
    parent = tmp_path if below is None else Path(f"{tmp_path}{below}")
    parent.mkdir(exist_ok=True)
    folder = RunFolder(str(parent))
    try:
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert folder.path.parent == (Path("/tmp") if below else folder.path.parent)
        with socket.socket(socket.AF_UNIX) as triton:
            triton.bind(folder.address.removeprefix("unix:"))
    finally:
        folder.remove()
    assert not folder.path.exists()


def test_a_folder_that_a_cleaner_of_tmp_has_emptied_or_removed_is_no_obstacle_to_the_next_triton(
    tmp_path: Path,
) -> None:
    folder = RunFolder(str(tmp_path))
    folder.temporary.rmdir()
    folder.clear()
    assert stat.S_IMODE(folder.temporary.stat().st_mode) == 0o700
    folder.remove()
    folder.clear()


def test_the_folder_of_an_ended_run_of_another_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        prefix = owner_prefix(ended.pid)
    left = tmp_path / f"{prefix}x"
    left.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: left.stat().st_uid + 1)
        remove_folders_of_dead_owners(tmp_path)
    assert left.exists()
    remove_folders_of_dead_owners(tmp_path)
    assert not left.exists()


def test_what_an_ended_triton_left_is_cleared_and_the_next_one_has_the_same_address() -> None:
    folder = RunFolder()
    (folder.temporary / "python_env_x").mkdir()
    (folder.temporary / "python_env_x" / "file").touch()
    (folder.temporary / "file").touch()
    (folder.temporary / "link").symlink_to(Path(__file__).parent)
    address = folder.address
    folder.clear()
    assert (list(folder.temporary.iterdir()), folder.address) == ([], address)
    assert Path(__file__).exists()
    folder.remove()


def test_folders_of_owners_that_no_longer_run_are_removed_and_no_others() -> None:
    parent = Path("/tmp") / f"rf-{os.getpid()}"
    parent.mkdir(mode=0o700)
    try:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
            dead, alive = parent / f"{owner_prefix(other.pid)}abc", parent / f"{owner_prefix()}abc"
        foreign = parent / "reflex_4_1_1_abc"
        for path in (dead, alive, foreign, parent / "reflex_notes"):
            path.mkdir()
        RunFolder(str(parent)).remove()
        assert {path.name for path in parent.iterdir()} == {alive.name, foreign.name, "reflex_notes"}
    finally:
        for path in parent.iterdir():
            path.rmdir()
        parent.rmdir()
