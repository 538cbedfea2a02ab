"""How long an opening is tried, without any I/O: what is tried again, after which pause, and when it is given up.

A connection that is refused or broken, and 403, 404, 408, 425, 429 and 5xx are tried again: a server that starts, or a
proxy in front of one, gives any of them. Every other status is final at once.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Final, Literal

from reflex.client.streaming.errors import OpenTiming, at_opening
from reflex.errors import ClientTimeoutError, ReflexError, ServiceError, TransportError

__all__ = ["OpenPlan", "Stages", "is_tried_again"]

TRIED_AGAIN: Final = frozenset({403, 404, 408, 425, 429})
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
ATTEMPT_S: Final = 10.0
LEAST_ATTEMPT_S: Final = 0.05

Clock = Callable[[], float]
Stage = Literal["dns_ms", "tcp_ms", "tls_ms", "upgrade_ms", "first_message_ms"]

logger = logging.getLogger("reflex.client.streaming")


def is_tried_again(error: ReflexError) -> bool:
    """Whether a later attempt may succeed."""
    if isinstance(error, ServiceError):
        return error.status in TRIED_AGAIN or error.status >= 500
    return isinstance(error, TransportError)


class OpenPlan:
    """One opening, at `url`: attempts of `attempt_s` until `retry_s` are over, and at least one."""

    def __init__(
        self,
        url: str,
        retry_s: float,
        *,
        clock: Clock,
        attempt_s: float = ATTEMPT_S,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._url = url
        self._attempt_s = attempt_s
        self._clock = clock
        self._draw = draw
        self._ends_s = clock() + retry_s
        self._pause_s = FIRST_PAUSE_S
        self._refusals = 0

    def attempt_s(self) -> float:
        """How long the next attempt may take; the first one has its whole time, whatever the bound."""
        if not self._refusals:
            return self._attempt_s
        return min(self._attempt_s, max(LEAST_ATTEMPT_S, self._ends_s - self._clock()))

    def on_refused(self, error: ServiceError | TransportError) -> float:
        """Seconds to wait before the next attempt; raises the error, by its own type, when there is none."""
        self._refusals += 1
        if self._refusals == 1:
            logger.warning("%s refused: %s", self._url, _in_short(error))
        pause_s = self._next_pause_s(error)
        if not is_tried_again(error) or self._clock() + pause_s >= self._ends_s:
            raise at_opening(error) if isinstance(error, ServiceError) else error
        return pause_s

    def _next_pause_s(self, error: ServiceError | TransportError) -> float:
        """Half of it is drawn, so that a fleet that was cut off together does not come back together."""
        pause_s = self._pause_s * (0.5 + self._draw() / 2)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        told_s = error.retry_after_s if isinstance(error, ServiceError) else None
        return max(pause_s, min(told_s or 0.0, LONGEST_PAUSE_S))


class Stages:
    """A stopwatch over the stages of an attempt."""

    def __init__(self, clock: Clock) -> None:
        self.timing: OpenTiming = {}
        self._clock = clock
        self._last_s = clock()

    def end(self, stage: Stage) -> None:
        """The stage that began where the last one ended is over."""
        now_s = self._clock()
        self.timing[stage] = round((now_s - self._last_s) * 1000.0, 3)
        self._last_s = now_s


def _in_short(error: ServiceError | TransportError) -> str:
    if isinstance(error, ServiceError):
        return f"{error.status} {error}"
    return "no answer in time" if isinstance(error, ClientTimeoutError) else str(error)
