"""How much each key may ask: a bucket of tokens, in this process."""

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
MAX_KEYS: Final = 10_000
"""The key that was silent for longest is forgotten, and its bucket full when it comes back."""


class RateLimits:
    """`rate_per_s` requests for each key; `now` is a monotonic clock in seconds. May be shared by threads."""

    def __init__(self, rate_per_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rate_per_s = rate_per_s
        self._size = max(1.0, rate_per_s * BURST_S)
        self._now = now
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By key: tokens, and when they were counted."""

    def take(self, key_id: str) -> None:
        """Count one request; `ServiceError` 429 with the time until the next one may come."""
        with self._lock:
            wait_s = self._take(key_id, self._now())
        if wait_s > 0:
            raise service_error(
                "rate_limited", "this key has used up its requests; retry after Retry-After", retry_after_s=wait_s,
                context={"limit_per_s": self._rate_per_s},
            )  # fmt: skip

    def _take(self, key_id: str, now: float) -> float:
        tokens, counted_at = self._buckets.pop(key_id, (self._size, now))
        tokens = min(self._size, tokens + (now - counted_at) * self._rate_per_s)
        is_free = tokens >= 1.0
        self._buckets[key_id] = (tokens - 1.0 if is_free else tokens, now)
        if len(self._buckets) > MAX_KEYS:
            self._buckets.popitem(last=False)
        return 0.0 if is_free else (1.0 - tokens) / self._rate_per_s
