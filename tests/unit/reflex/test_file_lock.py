from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from reflex import file_lock as file_lock_module
from reflex.file_lock import LockHeldError, file_lock, is_locked_now
from support.waiting import HANGS_S

ME = f"another export (process {os.getpid()})"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_the_file_says_who_holds_the_lock(path: Path) -> None:
    path.write_text("a holder with a longer name, which was killed (process 1)")

    with file_lock(path, "another export"):
        assert path.read_text() == ME


def test_a_second_holder_is_refused_at_once_and_told_by_whom(path: Path) -> None:
    with (
        file_lock(path, "another export"),
        pytest.raises(LockHeldError, match="wait until it is done") as refused,
        file_lock(path, "a build"),
    ):
        raise AssertionError("two hold the lock")

    assert refused.value.holder == ME


def test_a_holder_that_never_ends_is_told_with_other_advice(path: Path) -> None:
    with (
        file_lock(path, "another server"),
        pytest.raises(LockHeldError, match=r"another server .* holds .*; stop it$"),
        file_lock(path, "a server", advice="stop it"),
    ):
        raise AssertionError("two hold the lock")


def test_who_waits_is_told_once_for_whom_and_goes_on_when_it_is_free(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_lock_module, "POLL_S", 0.001)
    heard: list[str] = []
    waits, done = threading.Event(), threading.Event()

    def hear(holder: str) -> None:
        heard.append(holder)
        waits.set()

    def wait() -> None:
        with file_lock(path, "a build", timeout_s=60.0, on_wait=hear):
            done.set()

    waiting = threading.Thread(target=wait)
    with file_lock(path, "another export"):
        waiting.start()
        assert waits.wait(HANGS_S)
        assert not done.wait(0.02)
    waiting.join(HANGS_S)

    assert done.is_set()
    assert heard == [ME]


def test_nobody_waits_for_longer_than_the_time_limit(path: Path) -> None:
    heard: list[str] = []
    with (
        file_lock(path, "another export"),
        pytest.raises(LockHeldError),
        file_lock(path, "a build", timeout_s=0.001, on_wait=heard.append),
    ):
        raise AssertionError("two hold the lock")

    assert heard == [ME]


def test_a_lock_whose_file_is_removed_leaves_nothing_and_another_keeps_its_file(path: Path) -> None:
    with file_lock(path, "another export", is_removed=True):
        assert path.exists()
    assert not path.exists()

    with file_lock(path, "another export"):
        pass
    assert path.exists()


def test_a_lock_on_a_file_that_lost_its_name_is_no_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder removed the file after we had opened it; whoever comes next would make, and lock, a new one."""
    monkeypatch.setattr(file_lock_module, "POLL_S", 0.001)
    opened: list[int] = []

    def removed_meanwhile(descriptor: int) -> bool:
        if not opened:
            path.unlink()
        opened.append(descriptor)
        return is_locked_now(descriptor)

    monkeypatch.setattr(file_lock_module, "is_locked_now", removed_meanwhile)
    with file_lock(path, "a build", timeout_s=60.0) as descriptor:
        assert os.path.samestat(path.stat(), os.fstat(descriptor))
    assert len(opened) == 2


def test_a_process_that_inherits_the_descriptor_holds_the_lock_on(path: Path) -> None:
    with file_lock(path, "another build") as descriptor:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor])

    with child, pytest.raises(LockHeldError), file_lock(path, "a build"):
        raise AssertionError("two hold the lock")

    with file_lock(path, "a build"):
        pass


def test_an_error_inside_lets_go_of_the_lock(path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), file_lock(path, "another export"):
        raise ValueError("inside")

    with file_lock(path, "a build"):
        pass


def test_an_open_file_is_locked_until_it_is_closed(path: Path) -> None:
    with path.open("w") as one, path.open() as other:
        assert is_locked_now(one.fileno())
        assert not is_locked_now(other.fileno())
    with path.open() as third:
        assert is_locked_now(third.fileno())
