"""Moments as the wire has them, ISO 8601 in UTC with milliseconds, and as milliseconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["iso_of", "ms_of"]

MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso_of(moment_ms: int) -> str:
    """As text: `2026-11-27T10:15:00.000Z`."""
    moment = EPOCH + timedelta(milliseconds=moment_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def ms_of(text: object) -> int:
    """Milliseconds since 1970; `ValueError` for everything but the one form that `iso_of` writes."""
    if not isinstance(text, str) or not MOMENT.fullmatch(text):
        raise ValueError("not a moment like 2026-11-27T10:15:00.000Z")
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)
