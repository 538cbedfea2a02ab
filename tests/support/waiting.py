"""Waiting for what another thread or process does in its own time: by a condition, never by a guess of how long.

The limit is only against hanging. How quickly something must come is a promise (`support.promise`).
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Final

__all__ = ["HANGS_S", "PROCESS_S", "eventually", "let_pass", "let_pass_here", "wait_until"]

HANGS_S: Final = 60.0
"""No machine that works at all is so busy."""
PROCESS_S: Final = 270.0
"""So long a program may take that a test runs to its end; a little later pytest ends the test itself."""
POLL_S: Final = 0.01


def wait_until(condition: Callable[[], object], what: str, *, timeout_s: float = HANGS_S) -> float:
    """Seconds until the condition held."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, f"not after {timeout_s:g} s: {what}"
        time.sleep(POLL_S)
    return time.monotonic() - started


async def eventually(condition: Callable[[], object], what: str, *, timeout_s: float = HANGS_S) -> float:
    """`wait_until` on an event loop; the condition may be awaitable."""
    started = time.monotonic()
    while not await _holds(condition):
        assert time.monotonic() - started < timeout_s, f"not after {timeout_s:g} s: {what}"
        await asyncio.sleep(POLL_S)
    return time.monotonic() - started


def let_pass(seconds: float) -> None:
    """For a limit that must be outlived, or a random instant: a busy machine makes it longer, which must do no harm."""
    time.sleep(seconds)


async def let_pass_here(seconds: float) -> None:
    """`let_pass` on an event loop."""
    await asyncio.sleep(seconds)


async def _holds(condition: Callable[[], object]) -> bool:
    held = condition()
    return bool(await held if inspect.isawaitable(held) else held)
