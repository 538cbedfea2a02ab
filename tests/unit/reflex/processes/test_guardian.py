"""What carries the mark, or belongs to the session, is found and ended; nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from reflex.processes.guardian import MARK, end_all, living
from support.waiting import wait_until

SLEEPS = [sys.executable, "-I", "-S", "-c", "import time; print(flush=True); time.sleep(600)"]
DEAF = [
    sys.executable, "-I", "-S", "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)",
]  # fmt: skip


@pytest.fixture
def mark() -> Iterator[str]:
    made = uuid.uuid4().hex
    yield made
    assert end_all(made, frozenset(), 0.0) == []


def started(argv: list[str], mark: str) -> subprocess.Popen[bytes]:
    """Once it is so far that it would take a signal."""
    process = subprocess.Popen(
        argv, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, start_new_session=True
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def test_the_mark_of_a_run_finds_all_its_processes_and_that_of_one_only_that(mark: str) -> None:
    one, other, stranger = started(SLEEPS, f"{mark}-1-"), started(SLEEPS, f"{mark}-12-"), started(SLEEPS, "another")

    assert sorted(living(mark, frozenset())) == sorted([one.pid, other.pid])
    assert living(f"{mark}-1-", frozenset()) == [one.pid]
    assert living("none", frozenset({stranger.pid})) == [stranger.pid]
    assert end_all(mark, frozenset({stranger.pid}), 10.0) == []
    assert [process.wait() for process in (one, other, stranger)] == [-15, -15, -15]


def test_what_ignores_sigterm_is_killed(mark: str) -> None:
    process = started(DEAF, mark)

    assert end_all(mark, frozenset(), 0.05) == []
    assert process.wait() == -9


def test_one_that_has_ended_and_was_not_collected_is_none(mark: str) -> None:
    process = started([*SLEEPS[:-1], "print(flush=True)"], mark)
    wait_until(lambda: os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT) is not None, "it ends")

    assert living(mark, frozenset({process.pid})) == []
    process.wait()
