"""How much each caller may ask: a bucket of tokens, in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from reflex.errors import service_error

__all__ = ["RateLimits"]

BURST_S: Final = 2.0
"""Who was silent may ask so many seconds' worth at once."""
MAX_CALLERS: Final = 10_000
"""Who was silent for longest is forgotten, and its bucket full when it comes back."""
OF_A_KEY: Final = "this key has used up its requests; retry after Retry-After"

Clock = Callable[[], float]


class RateLimits:
    """`rate_per_s` requests for each caller, and `burst` at once; `now` is a monotonic clock in seconds.

    May be shared by threads.
    """

    def __init__(
        self, rate_per_s: float, now: Clock = time.monotonic, *, burst: float | None = None, refusal: str = OF_A_KEY
    ) -> None:
        self._rate_per_s = rate_per_s
        self._size = max(1.0, rate_per_s * BURST_S) if burst is None else burst
        self._now = now
        self._refusal = refusal
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By caller: tokens, and when they were counted."""

    def take(self, caller: str) -> None:
        """Count one request; `ServiceError` 429 with the time until the next one may come."""
        with self._lock:
            wait_s = self._take(caller, self._now())
        if wait_s > 0:
            raise service_error(
                "rate_limited", self._refusal, retry_after_s=wait_s, context={"limit_per_s": self._rate_per_s}
            )

    def give_back(self, caller: str) -> None:
        """What was counted did not count."""
        with self._lock:
            tokens, counted_at = self._buckets.get(caller, (self._size, self._now()))
            self._buckets[caller] = (min(self._size, tokens + 1.0), counted_at)

    def _take(self, caller: str, now: float) -> float:
        tokens, counted_at = self._buckets.pop(caller, (self._size, now))
        tokens = min(self._size, tokens + (now - counted_at) * self._rate_per_s)
        is_free = tokens >= 1.0
        self._buckets[caller] = (tokens - 1.0 if is_free else tokens, now)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if is_free else (1.0 - tokens) / self._rate_per_s
