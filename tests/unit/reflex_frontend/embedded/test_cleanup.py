from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reflex_frontend.embedded import cleanup
from reflex_frontend.embedded.cleanup import (
    owner_prefix,
    remove_folders_of_dead_owners,
    remove_regions,
    remove_regions_of_dead_owners,
)
from support.waiting import HANGS_S, wait_until


def _ended_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def _region(folder: Path, name: str) -> Path:
    (folder / name).write_bytes(b"x")
    return folder / name


def test_only_regions_of_owners_that_no_longer_run_are_removed(tmp_path: Path) -> None:
    namespace = owner_prefix().split("_")[1]
    mine = _region(tmp_path, owner_prefix() + "1_aaa")
    dead = _region(tmp_path, f"reflex_{namespace}_{_ended_pid()}_5_1_bbb")
    same_id_other_life = _region(tmp_path, f"reflex_{namespace}_{os.getpid()}_1_1_ccc")
    other_container = _region(tmp_path, f"reflex_1_{_ended_pid()}_5_1_ddd")
    foreign = _region(tmp_path, "reflex_notes.txt")
    assert remove_regions_of_dead_owners(folder=tmp_path) == 2
    assert [path.exists() for path in (mine, dead, same_id_other_life, other_container, foreign)] == [
        True, False, False, True, True,
    ]  # fmt: skip


def test_a_folder_that_somebody_else_removes_in_that_instant_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = owner_prefix().split("_")[1]
    left = [tmp_path / f"reflex_{namespace}_{_ended_pid()}_5_{name}" for name in "abc"]
    for folder in left:
        folder.mkdir()
    is_ownerless = cleanup._is_ownerless

    def is_ownerless_and_one_goes(folder: Path) -> bool:
        if sum(each.exists() for each in left) == len(left):
            folder.rmdir()
        return is_ownerless(folder)

    monkeypatch.setattr(cleanup, "_is_ownerless", is_ownerless_and_one_goes)
    remove_folders_of_dead_owners(tmp_path)
    assert not any(folder.exists() for folder in left)


def test_removing_a_run_leaves_the_next_run_of_the_same_owner(tmp_path: Path) -> None:
    first, second = (_region(tmp_path, f"{owner_prefix()}{run}_x") for run in (1, 11))
    assert remove_regions(f"{owner_prefix()}1_", folder=tmp_path) == 1
    assert not first.exists()
    assert second.exists()


def test_a_group_is_gone_only_when_its_last_process_is() -> None:
    command = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()']); print(flush=True); input()"
    leader = subprocess.Popen(
        [sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        assert not cleanup.wait_group_gone(leader.pid, 0.05)
        cleanup.kill_group(leader.pid)
        assert cleanup.wait_group_gone(leader.pid, HANGS_S)


def test_the_dead_of_a_group_are_found_until_somebody_collects_them() -> None:
    code = "import os; print(os.fork() or os._exit(0), flush=True); input(); os.wait(); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as leader:
        assert leader.stdin is not None
        assert leader.stdout is not None
        dead = int(leader.stdout.readline())
        wait_until(lambda: cleanup.zombies_of_group(leader.pid) == {dead}, "it has ended")
        leader.stdin.write("collect\n")
        leader.stdin.flush()
        leader.stdout.readline()
        assert not cleanup.zombies_of_group(leader.pid)
        cleanup.kill_group(leader.pid)


def test_a_group_is_idle_but_for_while_it_computes_and_its_time_tells_that_it_has() -> None:
    code = (
        "import time; print(flush=True); input(); end = time.process_time() + 0.2\n"
        "while time.process_time() < end: pass\n"
        "print(flush=True); input()\n"
        "while True: pass"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as leader:
        assert leader.stdin is not None
        assert leader.stdout is not None
        idle_ticks: list[int] = []
        for _ in range(2):
            leader.stdout.readline()
            wait_until(lambda: cleanup.idle_ticks_of_group(leader.pid) is not None, "it waits")
            idle_ticks.append(cleanup.idle_ticks_of_group(leader.pid) or 0)
            leader.stdin.write("go on\n")
            leader.stdin.flush()
        wait_until(lambda: cleanup.idle_ticks_of_group(leader.pid) is None, "it computes")
        cleanup.kill_group(leader.pid)
    assert idle_ticks[1] - idle_ticks[0] >= 0.15 * os.sysconf("SC_CLK_TCK")
