"""What is noted of a traced request: the spans are made of it elsewhere and later."""

from __future__ import annotations

from dataclasses import dataclass

from reflex_frontend.policy.stage_times import StageTimes
from reflex_frontend.policy.traceparent import Trace

__all__ = ["TracedAct"]


@dataclass(frozen=True, slots=True)
class TracedAct:
    """What the spans of one request are made of: times, ids and names, nothing of what a robot sent."""

    trace: Trace
    stage_times: StageTimes
    began_at: float
    answered_at: float
    """The body of the answer is there, or the error is known; monotonic seconds, as all times here."""
    ended_at: float
    wall_ahead_s: float
    """Add it to a monotonic time to get the time since 1970."""
    status: int
    error_code: str | None
    request_id: str | None
    episode_id: str | None
    policy_slot: str | None
    model_version: str | None
    embodiment: str | None
    denoising_steps: int | None
    is_degraded: bool
    is_resent: bool
    """Answered with the answer to the request's first copy."""
