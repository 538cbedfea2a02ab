"""What a feature costs: the same request to servers with and without it, in turns: the machine's moods meet both.

Two numbers of two runs differ by more than a feature costs. Here one client asks every server once in each round, in
random order and at a fixed pace, and the ratio of the medians comes with the interval in which it lies.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex_bench.http_load import Asker

__all__ = ["Ratio", "Target", "in_turns", "ratio_of_medians"]

HTTP_OK: Final = 200
RESAMPLES: Final = 2_000
CONFIDENCE: Final = 0.95
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Target:
    """A server on loopback, and the whole HTTP request that it is asked again and again."""

    name: str
    port: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of medians, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


async def in_turns(
    targets: Sequence[Target], rounds: int, pace_hz: float, *, warm_up_rounds: int = 20, seed: int = 0
) -> Mapping[str, Floats]:
    """Latencies in seconds by target, [rounds]; `pace_hz` requests a second over all targets.

    A request that is late waits for the one before. Raises `RuntimeError` for an answer that is no 200.
    """
    askers = {target.name: await Asker.connected(target.port) for target in targets}
    latencies: dict[str, list[float]] = {target.name: [] for target in targets}
    choice = random.Random(seed)
    due = time.perf_counter()
    try:
        for number in range(warm_up_rounds + rounds):
            for target in choice.sample(targets, len(targets)):
                due += 1.0 / pace_hz
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                latency_s = await _ask(askers[target.name], target)
                if number >= warm_up_rounds:
                    latencies[target.name].append(latency_s)
    finally:
        for asker in askers.values():
            asker.close()
    return {name: np.asarray(some, np.float64) for name, some in latencies.items()}


def ratio_of_medians(with_it: Floats, without: Floats, *, seed: int = 0) -> Ratio:
    """Median of `with_it` over that of `without`, both [rounds]; the interval by resampling whole rounds.

    Rounds, not requests: what slowed the machine down for a round slowed both.
    """
    rounds = len(with_it)
    picked = np.random.default_rng(seed).integers(0, rounds, (RESAMPLES, rounds))
    ratios = np.median(with_it[picked], axis=1) / np.median(without[picked], axis=1)
    tail = (1.0 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1.0 - tail])
    return Ratio(float(np.median(with_it) / np.median(without)), float(low), float(high))


async def _ask(asker: Asker, target: Target) -> float:
    answer = await asker.send(target.request)
    if answer.status != HTTP_OK:
        raise RuntimeError(f"{target.name}: status {answer.status}: {answer.body[:200]!r}")
    return answer.latency_s
