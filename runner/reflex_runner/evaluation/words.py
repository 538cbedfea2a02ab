"""Shares as people read them."""

from __future__ import annotations

from reflex_runner.evaluation.intervals import Interval

__all__ = ["percent", "span"]


def percent(share: float, *, signed: bool = False) -> str:
    """With one digit behind the point; `signed` is for differences."""
    return f"{_number(share, signed=signed)} %"


def span(interval: Interval, *, signed: bool = False) -> str:
    """From one end to the other."""
    return f"{_number(interval.low, signed=signed)} to {_number(interval.high, signed=signed)} %"


def _number(share: float, *, signed: bool) -> str:
    """Never minus nothing."""
    rounded = round(share * 100, 1) + 0.0
    return f"{rounded:+.1f}" if signed and rounded else f"{rounded:.1f}"
