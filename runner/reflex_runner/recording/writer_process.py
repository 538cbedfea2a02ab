"""The process that writes a recording: `python -m reflex_runner.recording.writer_process SOCKET LOCK PATH`.

SOCKET and LOCK are descriptors. It holds the lock at PATH beside the run, so that nobody repairs what it still writes.
No signal but SIGKILL ends it: it ends with the run, and if that was killed it first finishes the episode that was open.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from reflex_runner.recording.writing import News, Say, write_recording

__all__ = ["NICENESS", "Forwarder", "give_way", "main"]

NICENESS: Final = 10
"""Above the run, which drives a robot: it is late first."""
AUTOGROUP: Final = Path("/proc/self/autogroup")
"""Where Linux shares the processor out among sessions, niceness counts within each, and each has one of its own."""


class Forwarder(logging.Handler):
    """What is logged here is logged by the run, where its user looks."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """With its traceback, if it has one."""
        self._say({"log": [record.levelno, self.format(record)]})


class Sayer:
    """One line of JSON for each piece of news. A run that is gone hears none, and that is no reason to stop writing."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, news: News) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(json.dumps(news) + "\n")
            self._stream.flush()


def give_way() -> None:
    """From now on whoever else wants to run goes first; what is needed was loaded before, so that the run can begin."""
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):
        if AUTOGROUP.exists():
            AUTOGROUP.write_text(str(NICENESS))
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> None:
    """Write until the run ends."""
    parent = os.getppid()
    for signal_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_, signal.SIG_IGN)
    say = Sayer(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # whatever a library prints is no news
    logging.basicConfig(level=logging.WARNING, handlers=[Forwarder(say)], format="%(message)s")
    lock = int(sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as line:
        write_recording(line, say, give_way)
    if os.getppid() != parent:
        remove_lock(lock, Path(sys.argv[3]))


def remove_lock(descriptor: int, path: Path) -> None:
    """As the run would have done, had it not been killed."""
    with suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            path.unlink()


if __name__ == "__main__":
    main()
