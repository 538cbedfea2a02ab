"""The figures of a recording, as `reflex traces summary --json` prints them and the report draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.traces.lines import Losses

__all__ = [
    "AxisSummary",
    "Floats",
    "LatencySummary",
    "ShadowSummary",
    "SlotSummary",
    "Summary",
    "TimePoint",
    "is_server_error",
    "latency_summary",
]

Floats = npt.NDArray[np.float64]
FIRST_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Milliseconds in the server, of the answers with status 200."""

    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class AxisSummary:
    """One action axis: `jerk` in squared robot units, `jump` in robot units, None where there is nothing to measure."""

    name: str
    violations: int
    jerk: float | None
    jump: float | None


@dataclass(frozen=True, slots=True)
class TimePoint:
    """One of `TIME_BINS` equal spans of the recording; the percentiles are None without an answer in it."""

    at: float
    requests: int
    errors: int
    """Of the server."""
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class SlotSummary:
    """One policy in one slot."""

    slot: str
    policy: str
    policy_hash: str | None
    embodiment: str | None
    requests: int
    answers: int
    episodes: int
    degraded: int
    """Requests that came to this slot for want of an episode id, or of the other slot."""
    errors: Mapping[str, int]
    """Of the server, by code."""
    client_errors: Mapping[str, int]
    """What clients asked wrongly (4xx), by code: no policy is the worse for it."""
    latency: LatencySummary | None
    timing_ms: Mapping[str, float]
    """The mean of each part of `latency_ms`."""
    clamped: int
    """Answers that the guard changed."""
    violations: Mapping[str, int]
    """By kind."""
    axes: tuple[AxisSummary, ...]
    jerk: float | None
    """The mean over the axes, as is `jump`."""
    jump: float | None
    latency_counts: tuple[int, ...]
    """Answers in each bin of the summary's `latency_edges_ms`."""
    timeline: tuple[TimePoint, ...]
    reduced_from: str | None = None
    """The slot's policy whose variant with fewer denoising steps this is (`--slo-mode degrade`); None for a policy."""


@dataclass(frozen=True, slots=True)
class ShadowSummary:
    """How one shadow policy agreed with what was answered. `max_abs` is the largest difference per axis."""

    policy: str
    requests: int
    errors: Mapping[str, int]
    mean_cosine: float | None
    least_cosine: float | None
    max_abs: Mapping[str, float]
    latency: LatencySummary | None
    violations: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole recording; `slots` in the order a, b, then by the time of their policies, each before its variant."""

    first_at: float | None
    last_at: float | None
    requests: int
    episodes: int
    slots: tuple[SlotSummary, ...]
    shadows: tuple[ShadowSummary, ...]
    latency_edges_ms: tuple[float, ...]
    losses: Losses


def is_server_error(status: int) -> bool:
    """Whether the server failed; below is the client's mistake."""
    return status >= FIRST_SERVER_ERROR


def latency_summary(answered: Floats) -> LatencySummary | None:
    """Exact percentiles of milliseconds; None when there are none."""
    if not answered.size:
        return None
    p50, p90, p99 = (float(value) for value in np.percentile(answered, (50, 90, 99)))
    return LatencySummary(float(answered.mean()), p50, p90, p99, float(answered.max()))
