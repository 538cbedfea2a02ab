"""The circuit breaker: keeps robots away from a model that does not answer, and finds out when it does again.

Only faults of the instance count; a client's fault never does. While the breaker is open no robot's request is used as
the probe: the canary is.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from reflex_frontend.policy.outcomes import Outcomes

__all__ = ["Breaker"]

log = logging.getLogger("reflex.breaker")

FIRST_PROBE_S: Final = 0.25
LAST_PROBE_S: Final = 5.0
JITTER: Final = 0.2


@dataclass
class Breaker:
    """Closed: requests pass. Open: they are refused until a probe succeeds. `now` is a monotonic clock in seconds."""

    now: Callable[[], float]
    jitter: Callable[[], float] = random.random
    reason: str | None = None
    """Why it is open, in words for /health; None while closed."""
    opened_total: int = 0
    _outcomes: Outcomes = field(default_factory=Outcomes)
    _probe_delay_s: float = FIRST_PROBE_S
    _probe_at: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.reason is not None

    @property
    def probe_in_s(self) -> float:
        """Seconds until the next probe is due; what Retry-After tells."""
        return max(0.0, self._probe_at - self.now())

    def record_success(self) -> None:
        """An inference answered rightly. Closes nothing: only `close` after a probe does."""
        self._outcomes.add(is_good=True)

    def record_failure(self, reason: str) -> None:
        """An inference failed through no fault of its client."""
        self._outcomes.add(is_good=False)
        if self._outcomes.are_bad:
            self.open(reason)

    def open(self, reason: str) -> None:
        """Open at once: the connection is lost, or failures crossed a limit. An open breaker keeps its probe."""
        if not self.is_open:
            log.warning("nothing is asked of the policy until its canary is right again", extra={"reason": reason})
            self.opened_total += 1
            self._probe_delay_s = FIRST_PROBE_S
            self._schedule_probe()
        self.reason = reason

    def probe_failed(self, reason: str) -> None:
        self.reason = reason
        self._probe_delay_s = min(2 * self._probe_delay_s, LAST_PROBE_S)
        self._schedule_probe()

    def close(self) -> None:
        """A probe succeeded."""
        self.reason = None
        self._outcomes.forget()

    def _schedule_probe(self) -> None:
        self._probe_at = self.now() + self._probe_delay_s * (1 + JITTER * (2 * self.jitter() - 1))
