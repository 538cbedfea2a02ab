"""What a killed Triton leaves behind, and how to remove it: processes of its group and shared memory regions.

A region's name says whose it is: `reflex_<pid namespace>_<owner pid>_<owner start>_<run>_<uuid>`, where the owner is
the frontend. The start time tells an owner from a later process of the same id, the namespace keeps containers that
share /dev/shm from removing each other's regions, and the run tells a restarted Triton from the one before.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "idle_ticks_of_group",
    "kill_group",
    "owner_prefix",
    "reap_group",
    "remove_folders_of_dead_owners",
    "remove_regions",
    "remove_regions_of_dead_owners",
    "wait_group_gone",
    "zombies_of_group",
]

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies on Linux
GROUP_POLL_S = 0.005
OWNED = re.compile(r"reflex_(?P<namespace>\d+)_(?P<pid>\d+)_(?P<start>\d+)_")


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    state: str
    group: int
    start_ticks: int
    cpu_ticks: int


def owner_prefix(pid: int | None = None) -> str:
    """`reflex_<pid namespace>_<pid>_<start>_` of a running process, ourselves by default."""
    pid = os.getpid() if pid is None else pid
    process = _read_process(pid)
    if process is None:
        raise ProcessLookupError(f"no process {pid}")
    return f"reflex_{_pid_namespace()}_{pid}_{process.start_ticks}_"


def remove_regions(prefix: str, *, folder: Path = SHARED_MEMORY) -> int:
    """Unlink every region whose name starts with `prefix`; return how many there were."""
    removed = 0
    for region in folder.glob(prefix + "*"):
        with contextlib.suppress(OSError):
            region.unlink()
            removed += 1
    return removed


def remove_regions_of_dead_owners(*, folder: Path = SHARED_MEMORY) -> int:
    """Unlink the regions whose owner, in our own pid namespace, no longer runs; return how many there were."""
    removed = 0
    for region in folder.glob("reflex_*"):
        if _is_ownerless(region):
            removed += remove_regions(region.name, folder=folder)
    return removed


def remove_folders_of_dead_owners(below: Path) -> None:
    """The same for the folders of ended runs; see run_folder.py. Those of other users stay."""
    for folder in below.glob("reflex_*"):
        with contextlib.suppress(OSError):  # another server, or the guardian of its own, removes it as well
            if _is_ownerless(folder) and folder.lstat().st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)


def kill_group(group: int) -> None:
    """SIGKILL every process of the group; a group without processes is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def reap_group(group: int) -> None:
    """Collect processes of the group that became our children, as orphans do when we are process 1 of a container."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass


def wait_group_gone(group: int, timeout_s: float) -> bool:
    """Block until no process of the group runs; zombies that some other parent has yet to collect do not count."""
    deadline = time.monotonic() + timeout_s
    while any(process.group == group and process.state not in "ZX" for process in _processes()):
        if time.monotonic() > deadline:
            return False
        time.sleep(GROUP_POLL_S)
    return True


def zombies_of_group(group: int) -> frozenset[int]:
    """Processes of the group, but for its leader, that have ended and that nobody has collected."""
    return frozenset(
        process.pid for process in _processes() if process.group == group != process.pid and process.state == "Z"
    )


def idle_ticks_of_group(group: int) -> int | None:
    """The CPU time that the group has used so far; None while one of it computes, or waits for a core or a disk."""
    members = [process for process in _processes() if process.group == group]
    return None if any(process.state in "RD" for process in members) else sum(each.cpu_ticks for each in members)


def _is_ownerless(path: Path) -> bool:
    """Whether its name is that of a process in our own pid namespace that no longer runs."""
    match = OWNED.match(path.name)
    if match is None or int(match["namespace"]) != _pid_namespace():
        return False
    process = _read_process(int(match["pid"]))
    return process is None or process.start_ticks != int(match["start"])


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _processes() -> Iterator[_Process]:
    for path in list(Path("/proc").iterdir()):  # whole, for who looks for one process stops in the middle
        if path.name.isdigit():
            process = _read_process(int(path.name))
            if process is not None:
                yield process


def _read_process(pid: int) -> _Process | None:
    """Fields of /proc/<pid>/stat (proc(5)); the command, in parentheses, may itself hold spaces and parentheses."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return _Process(
        pid,
        state=fields[0],
        group=int(fields[2]),
        start_ticks=int(fields[19]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
    )
