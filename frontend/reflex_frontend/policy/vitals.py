"""What is known of one policy's health: "an inference finished recently", never "the port is open"."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from reflex.errors import UnavailableError
from reflex.serve_options import MAX_CLAMPED_PERCENT
from reflex_frontend.policy.breaker import Breaker
from reflex_frontend.policy.plausibility import Plausibility

__all__ = ["Status", "Vitals"]

Status = Literal["warming", "ready", "degraded"]
STALE_SUCCESS_S: Final = 12.0
"""Two canary periods and the time of one slow call."""
EXPECTED_WARM_UP_S: Final = 5.0


@dataclass
class Vitals:
    """The phases of one policy on one Triton; `now` is a monotonic clock in seconds."""

    now: Callable[[], float]
    breaker: Breaker
    warming_reason: str | None = "starting"
    """Why no request is taken yet; None once the canary has been answered."""
    failed_canary: str | None = None
    """How the canary has failed before the policy was ready for the first time."""
    max_clamped_percent: float = MAX_CLAMPED_PERCENT
    plausibility: Plausibility = field(init=False)
    """Whether its chunks make sense; one that does not is refused, and the next is asked for."""
    started_at: float = field(init=False)
    last_success_at: float = -math.inf
    last_attempt_at: float = -math.inf
    on_suspicion: Callable[[], None] = lambda: None
    """Wakes whoever runs the canary."""
    suspicion: str | None = None
    """What makes the model suspect until the canary has been answered; requests pass meanwhile."""
    unanswered_since: float | None = None
    """When the first attempt after the last success began."""

    def __post_init__(self) -> None:
        self.started_at = self.now()
        self.plausibility = Plausibility(self.now, self.max_clamped_percent)

    @property
    def is_out(self) -> bool:
        """Whether a request would be refused now."""
        return self.warming_reason is not None or self.breaker.is_open

    def record_attempt(self) -> None:
        self.last_attempt_at = self.now()
        if self.unanswered_since is None:
            self.unanswered_since = self.last_attempt_at

    def record_success(self) -> None:
        self.last_success_at = self.now()
        self.unanswered_since = None
        self.breaker.record_success()

    def suspect(self, reason: str) -> None:
        """One answer was wrong in a way for which the request itself may be to blame."""
        self.suspicion = reason
        self.on_suspicion()

    def status(self) -> tuple[Status, str | None]:
        """The state for /health and the reason when it is not ready."""
        if self.warming_reason is not None:
            return "warming", self.warming_reason
        if self.breaker.reason is not None:
            return "degraded", self.breaker.reason
        if self.unanswered_since is not None and self.now() - self.unanswered_since > STALE_SUCCESS_S:
            return "degraded", "no inference has succeeded lately"
        if (implausible := self.plausibility.problem) is not None:
            return "degraded", implausible
        return "ready", None

    def admit(self) -> None:
        """Raise the `UnavailableError` of this phase, if requests must not pass now."""
        if self.warming_reason is not None:
            left_s = max(1.0, EXPECTED_WARM_UP_S - (self.now() - self.started_at))
            raise UnavailableError(
                "warming_up", f"the policy is being loaded: {self.warming_reason}", retry_after_s=left_s
            )
        if self.breaker.is_open:
            raise UnavailableError(
                "circuit_open",
                f"the model does not answer: {self.breaker.reason}",
                retry_after_s=max(self.breaker.probe_in_s, 0.05),
            )
