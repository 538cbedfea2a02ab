"""Become tritonserver, bound to the life of the process that started us, with a guardian that cleans up after it.

Run as `python -I -S launch.py OWNER_PID REGION_PREFIX RUN_FOLDER PROGRAM ARGUMENT...`, as the leader of its own process
group:

- The kernel kills tritonserver when the thread that started it ends, also when the owner was killed with SIGKILL.
- The guardian, a fork from before the exec, waits for the end of tritonserver, whatever ends it, then kills what is
  left of the group (Python stubs, however young) and removes the shared memory regions of this run, and its folder
  when the owner is gone. So nothing stays behind even when the owner is not there to do it.
- What they make is for this user alone: files and sockets, and the shared memory with images and states in it.

A trampoline does this because `preexec_fn` runs Python between fork and exec, which may deadlock in a process with
threads. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import struct
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>. Kept across execve, cleared in a fork."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies on Linux
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
"""From <linux/prctl.h> and <linux/seccomp.h>."""
AUDIT_ARCH_X86_64, FCHMOD = 0xC000003E, 91
WORLD_READABLE = 0o644
OWNER_GONE_WITHIN_MS = 1_000
"""When the end of its owner has ended Triton, the owner's own end is a matter of moments."""
LOAD, JUMP_IF_EQUAL, ANSWER = 0x20, 0x15, 0x06
ALLOWED, DONE = 0x7FFF0000, 0x00050000
REFUSES_FCHMOD = (
    (LOAD, 0, 0, 4),  # seccomp_data.arch
    (JUMP_IF_EQUAL, 0, 5, AUDIT_ARCH_X86_64),
    (LOAD, 0, 0, 0),  # .nr
    (JUMP_IF_EQUAL, 0, 3, FCHMOD),
    (LOAD, 0, 0, 24),  # .args[1], its lower half
    (JUMP_IF_EQUAL, 0, 1, WORLD_READABLE),
    (ANSWER, 0, 0, DONE),
    (ANSWER, 0, 0, ALLOWED),
)
"""A seccomp filter (<linux/bpf_common.h>): fchmod(_, 0644) answers 0 and does nothing; all else is as ever."""
SWEEPS = 50
SWEEP_INTERVAL_S = 0.01


def main(arguments: list[str]) -> None:
    """Set the death signal, check that the owner still lives, leave a guardian and exec; never returns."""
    owner_pid, region_prefix, folder, program = int(arguments[1]), arguments[2], arguments[3], arguments[4]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"error: prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    # The owner may have died before the signal was armed; then nobody would ever stop us.
    if os.getppid() != owner_pid:
        sys.exit("error: the process that started Triton is gone")
    triton_pid, owner = os.getpid(), os.pidfd_open(owner_pid)
    if os.fork() == 0:
        guard(triton_pid, region_prefix)
        remove_folder_of_dead_owner(owner, folder)
        os._exit(0)
    os.close(owner)
    keep_private(libc)
    os.execve(program, arguments[4:], os.environ)  # noqa: S606 - no shell wanted; the owner wrote the arguments


def keep_private(libc: ctypes.CDLL) -> None:
    """What is made from here on is its owner's alone.

    The umask would do, had the Python backend's shared memory (of Boost) not the habit to chmod what it has just made
    to 0644. That call answers "done" without doing it: a chmod of ours afterwards would come too late for who waits.
    """
    os.umask(0o077)
    program = b"".join(struct.pack("HBBI", *step) for step in REFUSES_FCHMOD)
    steps = ctypes.create_string_buffer(program)
    given = struct.pack("HxxxxxxQ", len(REFUSES_FCHMOD), ctypes.addressof(steps))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(given), 0, 0) != 0:
        sys.stderr.write(f"warning: prctl(PR_SET_SECCOMP): {os.strerror(ctypes.get_errno())}\n")


def remove_folder_of_dead_owner(owner: int, folder: str) -> None:
    """A living owner has use for it: it starts Triton again."""
    ended = select.poll()
    ended.register(owner, select.POLLIN)
    if ended.poll(OWNER_GONE_WITHIN_MS):
        shutil.rmtree(folder, ignore_errors=True)


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
