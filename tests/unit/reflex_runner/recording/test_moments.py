"""Monotonic times as Unix time."""

from __future__ import annotations

from reflex_runner.recording.moments import Moments, measure_moments


class Clocks:
    """Two clocks that are looked at in turn; each look takes as long as the list says."""

    def __init__(self, *looks_s: float) -> None:
        self.at_s = 100.0
        self._looks_s = iter(looks_s)

    def now(self) -> float:
        self.at_s += next(self._looks_s)
        return self.at_s

    def wall(self) -> float:
        return self.now() + 1_000.0


def test_the_look_that_was_least_disturbed_counts() -> None:
    clocks = Clocks(0.0, 0.3, 0.2, 0.0, 0.0005, 0.0005, 0.0, 0.1, 0.1)

    moments = measure_moments(clocks.now, clocks.wall, looks=3)

    assert abs(moments.offset_s - 1_000.0) < 1e-9
    assert abs(moments.uncertainty_s - 0.0005) < 1e-9


def test_a_moment_is_told_in_seconds_microseconds_and_nanoseconds() -> None:
    moments = Moments(1_800_000_000.0, 0.0)

    assert moments.unix_s(2.5) == 1_800_000_002.5
    assert moments.unix_us(2.5) == 1_800_000_002_500_000
    assert moments.unix_ns(2.5) == 1_800_000_002_500_000_000
