"""Become tritonserver, bound to the life of the process that started us, with a guardian that cleans up after it.

Run as `python -I -S launch.py OWNER_PID REGION_PREFIX PROGRAM ARGUMENT...`, as the leader of its own process group:

- The kernel kills tritonserver when the thread that started it ends, also when the owner was killed with SIGKILL.
- The guardian, a fork from before the exec, waits for the end of tritonserver, whatever ends it, then kills what is
  left of the group (Python stubs, however young) and removes the shared memory regions of this run. So nothing stays
  behind even when the owner is not there to do it.

A trampoline does this because `preexec_fn` runs Python between fork and exec, which may deadlock in a process with
threads. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>. Kept across execve, cleared in a fork."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies on Linux
SWEEPS = 50
SWEEP_INTERVAL_S = 0.01


def main(arguments: list[str]) -> None:
    """Set the death signal, check that the owner still lives, leave a guardian and exec; never returns."""
    owner_pid, region_prefix, program = int(arguments[1]), arguments[2], arguments[3]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"error: prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    # The owner may have died before the signal was armed; then nobody would ever stop us.
    if os.getppid() != owner_pid:
        sys.exit("error: the process that started Triton is gone")
    triton_pid = os.getpid()
    if os.fork() == 0:
        guard(triton_pid, region_prefix)
        os._exit(0)
    os.execve(program, arguments[3:], os.environ)  # noqa: S606 - no shell wanted; the owner wrote the arguments


def guard(triton_pid: int, region_prefix: str) -> None:
    """Wait until `triton_pid`, our parent and the leader of our group, has ended; then leave nothing of it."""
    _let_go_of_the_log()
    with contextlib.suppress(ProcessLookupError):
        ended = select.poll()
        ended.register(os.pidfd_open(triton_pid), select.POLLIN)
        # Its id may already be another's when it ended before we looked.
        while os.getppid() == triton_pid and not ended.poll():
            pass
    for _ in range(SWEEPS):
        others = _others_of_group(triton_pid)
        for pid in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for region in SHARED_MEMORY.glob(region_prefix + "*"):
            region.unlink(missing_ok=True)
        if not others:
            return
        time.sleep(SWEEP_INTERVAL_S)


def _let_go_of_the_log() -> None:
    """The pipe of Triton's log must end with Triton, and SIGTERM and SIGINT are not for us."""
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _others_of_group(group: int) -> list[int]:
    """Ids in our process group but our own; zombies count until their parent collects them."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(int(entry.name)) == group:
                    found.append(int(entry.name))
    return found


if __name__ == "__main__":
    main(sys.argv)
