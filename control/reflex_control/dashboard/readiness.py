"""What a deployment's last check is worth now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reflex.signed.moments import ms_of
from reflex_control.sessions.promoting import DOCTOR_HOLDS_MS

__all__ = ["readiness"]


def readiness(deployment: Mapping[str, Any], now_ms: int) -> str:
    """`ready`, `not_ready`, `stale` when it passed too long ago to promote by, or `unchecked`."""
    doctor = deployment["doctor"]
    if doctor is None or doctor.get("checkedAt") is None:
        return "unchecked"
    if not doctor["ready"]:
        return "not_ready"
    return "ready" if now_ms - ms_of(doctor["checkedAt"]) <= DOCTOR_HOLDS_MS else "stale"
