"""The trampoline and its guardian, with a plain Python process in the place of tritonserver."""

from __future__ import annotations

import json
import os
import select
import signal
import stat
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


def _command(owner_pid: int, region: Path, program: str = TRITON, folder: str = "/nowhere") -> list[str]:
    prefix = region.name.removesuffix("region")
    trampoline = [sys.executable, "-I", "-S", str(launch.__file__), str(owner_pid), prefix, folder]
    return [*trampoline, sys.executable, "-c", program]


@pytest.mark.slow
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


def test_what_is_made_is_for_its_owner_alone_even_where_it_is_opened_up_right_after(
    region: Path, tmp_path: Path
) -> None:
    """As Boost does with the shared memory in which images and states lie."""
    program = f"""
import os
made = os.open({str(tmp_path / "made")!r}, os.O_CREAT | os.O_RDWR, 0o666)
os.fchmod(made, 0o644)
other = os.open({str(tmp_path / "other")!r}, os.O_CREAT | os.O_RDWR, 0o666)
os.fchmod(other, 0o640)
"""
    ended = subprocess.run(_command(os.getpid(), region, program), capture_output=True, timeout=HANGS_S, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o640, "nothing but this one mode is answered for"


OWNER = """
import json, os, subprocess, sys
command = json.loads(sys.argv[1])
command[4] = str(os.getpid())
triton = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)
triton.stdout.readline()
print(triton.pid, flush=True)
input()
"""


@pytest.mark.slow
@pytest.mark.parametrize("dies", ["owner", "triton"])
def test_the_folder_of_a_run_goes_with_its_owner_and_not_before(region: Path, tmp_path: Path, dies: str) -> None:
    folder = tmp_path / "run"
    (folder / "tmp").mkdir(parents=True)
    command = json.dumps(_command(0, region, folder=str(folder)))
    arguments = [sys.executable, "-c", OWNER, command]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        triton_pid = int(owner.stdout.readline())
        os.kill(owner.pid if dies == "owner" else triton_pid, signal.SIGKILL)
        assert wait_group_gone(triton_pid, HANGS_S)
        assert folder.exists() == (dies == "triton")
        owner.kill()
