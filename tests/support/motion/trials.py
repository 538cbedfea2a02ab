"""Trials as the bench reports them, made without a server."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reflex.client.check import ServedShape
from reflex.embodiments import load_embodiment
from reflex_analysis.motion.measures import measure
from reflex_analysis.motion.trials import Bench, Served, Trial
from support.motion.scripted import HORIZON, HZ, line, tried

__all__ = ["bench", "served", "trial"]


def served(*, has_rtc: bool = True, has_head: bool = False) -> Served:
    """The demo policy, as far as the bench knows it."""
    franka = load_embodiment("franka")
    shape = ServedShape("demo", {"image": (64, 48)}, takes_instruction=True, state_dim=6, horizon=HORIZON, action_dim=7)
    return Served(shape, franka, "demo@1", HORIZON, has_rtc, has_head, 0.0)


def trial(strategy: str, latency_ms: float, repeat: int = 0, *, pauses: int | None = None) -> Trial:
    """Of 2 s, whose chunks do not fit together."""
    ranges = np.ones(1)
    course, _ = tried(strategy, lambda asked: line(0.1 * (asked.number % 2), 0.001), ticks=100, latency_ms=latency_ms)
    figures = measure(course, ranges, HZ)
    return Trial(strategy, latency_ms, repeat, figures if pauses is None else replace(figures, pauses=pauses), course)


def bench(**changed: object) -> Bench:
    """Two strategies at two latencies."""
    return replace(Bench(["sync", "open-loop"], [0.0, 100.0], jitter_ms=0.0, seconds=2.0, control_hz=HZ), **changed)  # type: ignore[arg-type]  # a test's own
