"""Requests that came before their predecessor was answered (pipelining) begin one by one, over all connections.

One connection can send thousands of requests in one packet. Were they begun as fast as they can be, robots that wait
for an answer would stand behind all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["Turnstile"]

PAUSE_S: Final = 0.001
"""Between two of them the event loop is everybody else's; most take a quarter of it."""


class Turnstile:
    """Lets one waiting connection through at a time, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_turning = False

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` when it is this one's turn; never at once."""
        self._waiting.append(go_on)
        if not self._is_turning:
            self._is_turning = True
            self._turn_later()

    def _turn_later(self) -> None:
        asyncio.get_running_loop().call_later(PAUSE_S, self._turn)

    def _turn(self) -> None:
        go_on = self._waiting.popleft()
        self._is_turning = bool(self._waiting)
        if self._is_turning:
            self._turn_later()
        go_on()
