"""Waiting for what another thread or process does in its own time: by a condition, never by a guess of how long.

The limit is only against hanging. How quickly something must come is a promise (`support.promise`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

__all__ = ["HANGS_S", "eventually", "wait_until"]

HANGS_S: Final = 60.0
"""No machine that works at all is so busy."""
POLL_S: Final = 0.01


def wait_until(condition: Callable[[], object], what: str, *, timeout_s: float = HANGS_S) -> float:
    """Seconds until the condition held."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, f"not after {timeout_s:g} s: {what}"
        time.sleep(POLL_S)
    return time.monotonic() - started


async def eventually(condition: Callable[[], Awaitable[object]], what: str, *, timeout_s: float = HANGS_S) -> float:
    """`wait_until` on an event loop."""
    started = time.monotonic()
    while not await condition():
        assert time.monotonic() - started < timeout_s, f"not after {timeout_s:g} s: {what}"
        await asyncio.sleep(POLL_S)
    return time.monotonic() - started
