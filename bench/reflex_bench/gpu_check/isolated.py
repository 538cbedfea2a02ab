"""A stage in a process of its own: stopped when its time is over, whatever it does, and what it measured is kept.

The process is forked, so that nothing is imported twice; the parent must therefore never touch the card. A driver that
fails, memory that runs out and a compiler that hangs end their stage alone, and the card's memory is free for the next.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from reflex_bench.gpu_check.rows import Emit, LeftOut, from_line, line_of

__all__ = ["run_isolated"]

PR_SET_PDEATHSIG: Final = 1
"""From <linux/prctl.h>."""
END_S: Final = 0.5
"""What a stage that has said all takes to end."""
POLITE_S: Final = 5.0
"""What one that is stopped is given to end its own processes, a server for one."""


def run_isolated(work: Callable[[Emit], None], seconds: float, emit: Emit, scratch: Path | None = None) -> None:
    """Run it, handing on what it emits; a stage that fails or is stopped is said as something left out.

    Its temporary folders are made in `scratch`: one that is killed cannot remove them itself.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_child, args=(work, theirs, scratch, os.getpid()))
    process.start()
    theirs.close()
    try:
        _hand_on(ours, time.monotonic() + seconds, seconds, emit)
    finally:
        _end(process)
        ours.close()


def _hand_on(connection: Connection, deadline: float, seconds: float, emit: Emit) -> None:
    while (left_s := deadline - time.monotonic()) > 0:
        if not connection.poll(left_s):
            break
        try:
            line = connection.recv_bytes()
        except EOFError:
            emit(LeftOut("its process died before its end; the log above says of what"))
            return
        if not line:
            return
        emit(from_line(line))
    emit(LeftOut(f"stopped after its {seconds:.0f} s; a longer --seconds gives it more"))


def _child(work: Callable[[Emit], None], connection: Connection, scratch: Path | None, parent: int) -> None:
    os.setpgrp()
    if scratch is not None:
        tempfile.tempdir = str(scratch)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers and folders are cleaned up
    if sys.platform == "linux":
        _end_with(parent)
    try:
        work(lambda told: connection.send_bytes(line_of(told)))
    except Exception as exc:  # noqa: BLE001  # a process boundary: whatever it is, it is told and the next stage begins
        connection.send_bytes(line_of(LeftOut.of(f"failed: {type(exc).__name__}", exc)))
    connection.send_bytes(b"")


def _end_with(parent: int) -> None:
    """Whatever becomes of it, SIGKILL too, the card is free; as `reflex.cli.up.bound`, without its packages."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def _end(process: multiprocessing.process.BaseProcess) -> None:
    """With all that it started."""
    process.join(END_S)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, number)
        process.join(POLITE_S)
