"""Whether the other side of a connection lives: who is silent while something is expected of it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["SilenceWatch"]

SILENCE_S: Final = 10.0
"""While something is expected and nothing comes, the other side is asked whether it lives."""
ANSWERS_WITHIN_S: Final = 5.0
MOST_PINGS: Final = 2
SELDOM_S: Final = 330.0
"""After so many pings since a call began, only one in so many seconds: gRPC's servers end a connection on which more
come (grpc/doc: keepalive.md)."""


class SilenceWatch:
    """`ping` asks, `end` is told how many seconds were silent at last, `has_calls` says whether any call is open."""

    def __init__(self, ping: Callable[[], None], end: Callable[[float], None], has_calls: Callable[[], bool]) -> None:
        self._ping, self._end, self._has_calls = ping, end, has_calls
        self._heard_s = self._pinged_s = _now_s()
        self._pings = MOST_PINGS
        self._is_asked = False
        self._expects = False
        """Whether a call was begun or given up, and nothing came since: it may be over before it is looked."""
        self._timer: asyncio.TimerHandle | None = None

    def expect(self) -> None:
        """A call begins, or is given up, which a living other side is going to acknowledge."""
        self._expects = True
        if self._timer is None:
            self._look_in(SILENCE_S)

    def allow_pings(self) -> None:
        """The other side was sent a call: it takes pings again."""
        self._pings = MOST_PINGS

    def hear(self) -> None:
        """Something came, whatever it is."""
        self._heard_s, self._expects = _now_s(), False
        if self._is_asked:
            self._is_asked = False
            self._look_in(SILENCE_S)

    def stop(self) -> None:
        self._is_asked = False
        if self._timer is not None:
            self._timer.cancel()

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        now_s = _now_s()
        silent_s = now_s - self._heard_s
        if self._is_asked:
            self._end(silent_s)
        elif not (self._expects or self._has_calls()):
            return
        elif silent_s < SILENCE_S:
            self._look_in(SILENCE_S - silent_s)
        elif self._pings <= 0 and now_s - self._pinged_s < SELDOM_S:
            self._look_in(SILENCE_S)
        else:
            self._pings -= 1
            self._is_asked, self._pinged_s = True, now_s
            self._ping()
            self._look_in(ANSWERS_WITHIN_S)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
