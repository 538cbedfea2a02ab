"""Ends every process of a run: in the run itself, and, as a program beside it, when the run was killed.

Whatever a command starts inherits the run's mark in its environment, through any number of forks and sessions.
Imports nothing but Python's own library, for as a program it starts in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

__all__ = ["MARK", "end_all", "living", "wait_for_end"]

MARK = "_REFLEX_RUN"
"""The variable that holds the mark."""
EOF_S = 1.0
"""How long a process gets, when its run was killed, to bring the robot to rest and end: its stdin has ended."""
TERM_S = 0.3
KILL_S = 5.0
"""After SIGKILL a process is gone at once, but for one that waits for a device."""
PROCESSES = Path("/proc")
LOOK_AGAIN_S = 0.005
"""Twice as long each time, up to eight times: a look reads every process of the machine."""


def end_all(mark: str, sessions: frozenset[int], grace_s: float) -> list[int]:
    """SIGTERM, then SIGKILL, to what `living` finds; the processes that even that did not end."""
    left = living(mark, sessions)
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, KILL_S)):
        until = time.monotonic() + wait_s
        told: set[int] = set()
        pause_s = LOOK_AGAIN_S
        while left:
            for pid in set(left) - told:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    _send(pid, number)
                told.add(pid)
            if time.monotonic() >= until:
                break
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 8 * LOOK_AGAIN_S)
            left = living(mark, sessions)
    return left


def wait_for_end(mark: str, within_s: float) -> bool:
    """Whether all processes of the mark end by themselves in that time."""
    until = time.monotonic() + within_s
    while living(mark, frozenset()):
        if time.monotonic() >= until:
            return False
        time.sleep(4 * LOOK_AGAIN_S)
    return True


def living(mark: str, sessions: frozenset[int]) -> list[int]:
    """Processes whose mark begins so, or that belong to one of the sessions; none that only waits to be collected."""
    if not PROCESSES.is_dir():
        return [session for session in sessions if _is_there(session)]
    wanted = f"{MARK}={mark}".encode()
    numbers = [int(name) for name in os.listdir(PROCESSES) if name.isdigit()]  # noqa: PTH208  # a third of the time
    return [pid for pid in numbers if pid != os.getpid() and (_is_marked(pid, wanted) or _is_of(pid, sessions))]


def _is_marked(pid: int, wanted: bytes) -> bool:
    """A zombie has no environment any more."""
    try:
        return wanted in (PROCESSES / str(pid) / "environ").read_bytes()
    except OSError:
        return False


def _is_of(pid: int, sessions: frozenset[int]) -> bool:
    try:
        return os.getsid(pid) in sessions and not _is_zombie(pid)
    except OSError:
        return False


def _is_zombie(pid: int) -> bool:
    """Its state stands behind its name, which is in parentheses and may hold any character."""
    return (PROCESSES / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"


def _send(pid: int, number: signal.Signals) -> None:
    """Where there is no /proc, the sessions are groups, and all that is known."""
    if PROCESSES.is_dir():
        os.kill(pid, number)
    else:
        os.killpg(pid, number)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def main() -> None:
    """`guardian.py MARK`: waits until the run that holds the other end of stdin is gone."""
    while os.read(0, 4096):
        pass
    if not wait_for_end(sys.argv[1], EOF_S):
        end_all(sys.argv[1], frozenset(), TERM_S)


if __name__ == "__main__":
    main()
