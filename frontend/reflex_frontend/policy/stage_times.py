"""When one request left each stage of the server."""

from __future__ import annotations

from dataclasses import dataclass

from reflex_frontend.policy.traceparent import Trace

__all__ = ["StageTimes"]


@dataclass(slots=True)
class StageTimes:
    """When each stage was left, monotonic seconds, in this order; None was not reached."""

    received_at: float | None = None
    """Read and parsed."""
    routed_at: float | None = None
    """A slot is chosen, and the request fits its policy."""
    decoded_at: float | None = None
    """The images too; the prompt is tokenised."""
    queued_at: float | None = None
    """There is a place in flight."""
    inferred_at: float | None = None
    guarded_at: float | None = None
    trace: Trace | None = None
    """None: this request is not traced."""
