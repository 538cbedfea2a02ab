"""The time of day, as the control plane counts it: milliseconds since 1970, UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from reflex.signed.moments import iso_of

__all__ = ["DAY_MS", "DAY_S", "MINUTE_MS", "SECOND_MS", "Clock", "iso_or_none", "now_ms"]

Clock = Callable[[], int]

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
DAY_MS: Final = 24 * 60 * MINUTE_MS
DAY_S: Final = DAY_MS // SECOND_MS


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def iso_or_none(moment_ms: int | None) -> str | None:
    """ISO 8601, where there is a moment."""
    return None if moment_ms is None else iso_of(moment_ms)
