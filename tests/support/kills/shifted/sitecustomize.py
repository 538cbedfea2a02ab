"""Python imports this at its start where PYTHONPATH has this folder: a process with a day's clock that can be set.

It is ahead by the seconds in the file that SHIFTED_CLOCK names, looked at anew each time. Nobody else's clock moves.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from contextlib import suppress
from pathlib import Path

_file = os.environ.get("SHIFTED_CLOCK")
_true_time, _true_time_ns = time.time, time.time_ns


def _ahead_s() -> float:
    with suppress(OSError, ValueError):
        return float(Path(_file or "").read_text(encoding="utf-8"))
    return 0.0


class _Shifted(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> _Shifted:
        return cls.fromtimestamp(time.time(), tz)


if _file:
    time.time = lambda: _true_time() + _ahead_s()
    time.time_ns = lambda: _true_time_ns() + int(_ahead_s() * 1e9)
    dt.datetime = _Shifted  # type: ignore[misc]  # which is what this is for
