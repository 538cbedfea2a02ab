"""The watchdog's process, `python -m reflex_runner.loop.guardian`: stops the robot when the runner is gone or frozen.

It reads one byte a period from the runner, which says how long the next may take. When none comes, or the pipe closes
without a farewell, it runs the first safe rung of the stop ladder, says so, and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from reflex_runner.loop.heartbeats import watch

__all__ = ["FAILED", "READY", "main"]

READY: Final = "ready"
FAILED: Final = "failed"

RETRY_S: Final = 0.02
"""The bus may still be locked by a process that is just dying."""
TRIED_S: Final = 10.0


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    """The one argument is JSON: the handle, its rungs, the longest silence, and where modules are found."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # whoever ends the runner thus lets it stop the robot by itself
    told: Mapping[str, Any] = json.loads(arguments[0])
    sys.path[:] = told["path"]
    from reflex_runner.loop.watch_handle import parse_handle

    status = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a handle prints is not mistaken for word of this process
    stop = parse_handle(told["handle"]).bound()
    _say(status, READY)
    if watch(sys.stdin.fileno(), float(told["silence_s"])):
        _say(status, _stopped(stop, told["rungs"]))
    return 0


def _stopped(stop: Callable[[str], None], rungs: Sequence[str]) -> str:
    """Try the rungs in turn until one works, and say which."""
    ends_s, trouble = time.monotonic() + TRIED_S, ""
    while time.monotonic() < ends_s:
        for rung in rungs:
            try:
                stop(rung)
            except Exception as exc:  # noqa: BLE001 - somebody else's code; the next rung is tried
                trouble = f"{rung}: {exc}"
            else:
                return rung
        time.sleep(RETRY_S)
    return f"{FAILED} {trouble}"


def _say(status: int, word: str) -> None:
    sys.stderr.flush()
    with contextlib.suppress(BrokenPipeError):  # the runner is gone, which is why this process is here
        os.write(status, f"{word}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
