"""Moments of a run as Unix time: measured once, so that a day's clock that jumps changes no time that is recorded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["Moments", "measure_moments"]

LOOKS: Final = 5
"""The tightest counts: a thread may lose its turn between two looks at two clocks."""


@dataclass(frozen=True, slots=True)
class Moments:
    """What to add to a monotonic time for Unix seconds, and by how much that may be off."""

    offset_s: float
    uncertainty_s: float

    def unix_s(self, monotonic_s: float) -> float:
        """Unix seconds of a monotonic time of this computer."""
        return monotonic_s + self.offset_s

    def unix_ns(self, monotonic_s: float) -> int:
        """`unix_s` in whole nanoseconds."""
        return round(self.unix_s(monotonic_s) * 1e9)

    def unix_us(self, monotonic_s: float) -> int:
        """`unix_s` in whole microseconds."""
        return round(self.unix_s(monotonic_s) * 1e6)


def measure_moments(
    now: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time, looks: int = LOOKS
) -> Moments:
    """Look at both clocks a few times; the wall clock between two looks at the monotonic one."""
    found = [_look(now, wall) for _ in range(looks)]
    return min(found, key=lambda moments: moments.uncertainty_s)


def _look(now: Callable[[], float], wall: Callable[[], float]) -> Moments:
    before, unix, after = now(), wall(), now()
    return Moments(unix - (before + after) / 2, (after - before) / 2)
