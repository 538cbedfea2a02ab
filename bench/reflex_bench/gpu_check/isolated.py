"""A stage in a process of its own: stopped when its time is over, whatever it does, and what it measured is kept.

The process is forked, so that nothing is imported twice; the parent must therefore never touch the card. A driver that
fails, memory that runs out and a compiler that hangs end their stage alone, and the card's memory is free for the next.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Final

from reflex_bench.gpu_check.rows import Emit, LeftOut, from_line, line_of

__all__ = ["run_isolated"]

END_S: Final = 0.5
"""What a stage that has said all takes to end."""
POLITE_S: Final = 5.0
"""What one that is stopped is given to end its own processes, a server for one."""


def run_isolated(work: Callable[[Emit], None], seconds: float, emit: Emit) -> None:
    """Run it, handing on what it emits; a stage that fails or is stopped is said as something left out."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_child, args=(work, theirs))
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


def _child(work: Callable[[Emit], None], connection: Connection) -> None:
    os.setpgrp()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers and folders are cleaned up
    try:
        work(lambda told: connection.send_bytes(line_of(told)))
    except Exception as exc:  # noqa: BLE001  # a process boundary: whatever it is, it is told and the next stage begins
        connection.send_bytes(line_of(LeftOut.of(f"failed: {type(exc).__name__}", exc)))
    connection.send_bytes(b"")


def _end(process: multiprocessing.process.BaseProcess) -> None:
    """With all that it started."""
    process.join(END_S)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, number)
        process.join(POLITE_S)
