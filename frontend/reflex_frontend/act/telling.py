"""What an answer says of what was done for its motion."""

from __future__ import annotations

from reflex.wire import ActTelemetry
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.motion.correction import Correction
from reflex_frontend.motion.rtc import Continuation

__all__ = ["correction_told", "motion_told"]


def motion_told(exchange: Exchange) -> ActTelemetry:
    """Of all that is switched on."""
    told: ActTelemetry = {}
    if exchange.continuation is not None:
        told.update(_continuation_told(exchange.continuation))
    if exchange.correction is not None:
        told.update(correction_told(exchange.correction))
    if exchange.cache_hit is not None:
        told["cache_hit"] = exchange.cache_hit
    return told


def correction_told(correction: Correction) -> ActTelemetry:
    """Of the correction of its actions."""
    told: ActTelemetry = {
        "a2c2_applied": correction.reason is None,
        "a2c2_correction_magnitude": round(correction.magnitude, 6),
    }
    if correction.reason is not None:
        told["a2c2_reason"] = correction.reason
    return told


def _continuation_told(continuation: Continuation) -> ActTelemetry:
    told: ActTelemetry = {"rtc_applied": continuation.reason is None, "rtc_delay_steps": continuation.delay_steps}
    if continuation.reason is not None:
        told["rtc_reason"] = continuation.reason
    return told
