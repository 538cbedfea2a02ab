"""Become tritonserver, bound to the life of the process that started us.

Run as `python -I -S launch.py OWNER_PID PROGRAM ARGUMENT...`. The kernel kills tritonserver when the thread that
started it ends, also when the owner was killed with SIGKILL. A trampoline does this because `preexec_fn` runs Python
between fork and exec, which may deadlock in a process with threads. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>. Kept across execve."""


def main(arguments: list[str]) -> None:
    """Set the death signal, check that the owner still lives, and exec; never returns."""
    owner_pid, program = int(arguments[1]), arguments[2]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"error: prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    # The owner may have died before the signal was armed; then nobody would ever stop us.
    if os.getppid() != owner_pid:
        sys.exit("error: the process that started Triton is gone")
    # The stubs compare their parent with this: it is our own id, since exec keeps it.
    os.environ["REFLEX_TRITON_PID"] = str(os.getpid())
    os.execve(program, arguments[2:], os.environ)  # noqa: S606 - no shell wanted; the owner wrote the arguments


if __name__ == "__main__":
    main(sys.argv)
