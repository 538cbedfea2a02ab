"""The trampoline and its guardian, with a plain Python process in the place of tritonserver."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from reflex_frontend.embedded import launch
from reflex_frontend.embedded.cleanup import kill_group, wait_group_gone
from support.promise import Promise
from support.waiting import HANGS_S

TRITON = """
import subprocess, sys, time
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdout=subprocess.DEVNULL)
print('serving', flush=True)
time.sleep(600)
"""


@pytest.fixture
def region() -> Iterator[Path]:
    path = Path("/dev/shm") / f"reflex-test-{uuid.uuid4().hex}_region"
    path.write_bytes(b"x")
    yield path
    path.unlink(missing_ok=True)


def _command(owner_pid: int, region: Path) -> list[str]:
    prefix = region.name.removesuffix("region")
    program = [sys.executable, "-c", TRITON]
    return [sys.executable, "-I", "-S", str(launch.__file__), str(owner_pid), prefix, *program]


def test_what_a_killed_triton_leaves_is_removed_without_help_of_the_owner(region: Path, promise: Promise) -> None:
    with subprocess.Popen(_command(os.getpid(), region), stdout=subprocess.PIPE, start_new_session=True) as triton:
        assert triton.stdout is not None
        assert triton.stdout.readline() == b"serving\n"
        os.kill(triton.pid, signal.SIGKILL)
        # Not reaped yet, as when the owner hangs: neither a zombie nor a live owner may hold the guardian back.
        killed_at = time.monotonic()
        gone = wait_group_gone(triton.pid, HANGS_S)
        promise("what a killed Triton leaves is removed by its guardian", time.monotonic() - killed_at, at_most=3.0)
        kill_group(triton.pid)
        assert gone
    assert not region.exists()


def test_the_guardian_does_not_hold_the_log_open(region: Path) -> None:
    command = _command(os.getpid(), region)
    command[-1] = "import os, time; os.close(1); time.sleep(600)"
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as triton:
        assert triton.stdout is not None
        readable, _, _ = select.select([triton.stdout], [], [], HANGS_S)
        kill_group(triton.pid)
        assert readable  # the end of the file: nobody else writes there


def test_nothing_starts_for_an_owner_that_is_gone(region: Path) -> None:
    ended = subprocess.run(_command(os.getppid(), region), capture_output=True, timeout=HANGS_S, check=False)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert b"the process that started Triton is gone" in ended.stderr
