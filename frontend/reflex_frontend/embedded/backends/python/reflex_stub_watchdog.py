"""Ends a Python stub with the tritonserver that started it, and removes the shared memory of that run.

Imported by every stub, whatever its model, before anything else: the private copy of `triton_python_backend_utils`
begins with importing this module. PR_SET_PDEATHSIG would not do here: it fires when the *thread* that forked the stub
ends, and Triton's loader threads end. Standard library only.
"""

import os
import select
import threading
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies on Linux


def end_with(triton_pid: int, region_prefix: str) -> None:
    """Watch `triton_pid` from a thread; end this process at once when it is already gone."""
    try:
        parent = os.pidfd_open(triton_pid)
    except ProcessLookupError:
        _end(region_prefix)
    # Its id may belong to somebody else by now.
    if os.getppid() != triton_pid:
        _end(region_prefix)
    threading.Thread(target=_wait, args=(parent, region_prefix), daemon=True).start()


def _wait(parent: int, region_prefix: str) -> None:
    poll = select.poll()
    poll.register(parent, select.POLLIN)
    while not poll.poll():
        pass
    _end(region_prefix)


def _end(region_prefix: str) -> None:
    for region in SHARED_MEMORY.glob(region_prefix + "*"):
        region.unlink(missing_ok=True)
    os._exit(1)


if os.environ.get("REFLEX_TRITON_PID") and os.environ.get("REFLEX_SHM_PREFIX"):
    end_with(int(os.environ["REFLEX_TRITON_PID"]), os.environ["REFLEX_SHM_PREFIX"])
