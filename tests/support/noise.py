"""How busy the machine is: how late its timers fire, and how much longer than at best the same work takes."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

__all__ = ["Noise", "percentile", "sample", "stretches", "summary", "until_quiet"]

SAMPLES: Final = 50
TIMER_S: Final = 0.001
SPIN_ROUNDS: Final = 10_000
"""Half a millisecond of nothing but counting."""
STRETCHES: Final = 200
SPINS_A_STRETCH: Final = 10
"""Milliseconds of nothing but counting: as long as what is promised within milliseconds."""
LOOK_EVERY_S: Final = 0.2
QUIET: Final = 1.3
"""What shares a core with another takes up to twice as long."""


@dataclass(frozen=True)
class Samples:
    """Seconds by which each timer was late, and seconds that each spin took."""

    late_s: tuple[float, ...] = ()
    spin_s: tuple[float, ...] = ()

    def __add__(self, other: Samples) -> Samples:
        return Samples(self.late_s + other.late_s, self.spin_s + other.spin_s)


@dataclass(frozen=True)
class Noise:
    """Medians and 99th percentiles; a spin as a multiple of the quickest of the run."""

    timer_p50_ms: float
    timer_p99_ms: float
    spin_p50: float
    spin_p99: float

    @property
    def is_quiet(self) -> bool:
        """Half of the time the processor is this machine's, not its neighbours'."""
        return self.spin_p50 <= QUIET

    def __str__(self) -> str:
        return f"{self.timer_p50_ms:.2f}/{self.timer_p99_ms:.2f} ms {self.spin_p50:.2f}/{self.spin_p99:.2f}x"


def sample() -> Samples:
    """A tenth of a second of timers and spins."""
    return Samples(tuple(_late_s() for _ in range(SAMPLES)), tuple(_spin_s() for _ in range(SAMPLES)))


def stretches() -> tuple[float, ...]:
    """Seconds that each of a second's stretches took: some meet a neighbour of the machine, most do not.

    Where that is allowed, nothing that runs on this machine comes between: what a loop in real time may still meet.
    """
    with ThreadPoolExecutor(1, initializer=_before_all_others) as thread:
        return tuple(thread.map(lambda _: _stretch_s(), range(STRETCHES)))


def summary(samples: Samples, quickest_s: float = math.inf) -> Noise:
    """In figures that a person compares. `quickest_s` is the quickest spin that was seen before."""
    quickest_s = min(quickest_s, *samples.spin_s)
    return Noise(
        timer_p50_ms=1_000 * percentile(samples.late_s, 0.5),
        timer_p99_ms=1_000 * percentile(samples.late_s, 0.99),
        spin_p50=percentile(samples.spin_s, 0.5) / quickest_s,
        spin_p99=percentile(samples.spin_s, 0.99) / quickest_s,
    )


def until_quiet(quickest_s: float, looks: int = 20) -> float:
    """Wait until spins take what they take at best, or for some seconds; the quickest that was seen by then."""
    for _ in range(looks):
        seen = sample()
        quickest_s = min(quickest_s, *seen.spin_s)
        if summary(seen, quickest_s).is_quiet:
            break
        time.sleep(LOOK_EVERY_S)
    return quickest_s


def percentile(values: Sequence[float], share: float) -> float:
    """The least of them that so large a share does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _late_s() -> float:
    due = time.perf_counter() + TIMER_S
    time.sleep(TIMER_S)
    return time.perf_counter() - due


def _before_all_others() -> None:
    with contextlib.suppress(OSError, AttributeError):  # no such right, or another system
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _stretch_s() -> float:
    time.sleep(TIMER_S)  # a thread in real time lets the others in
    return _spin_s(SPINS_A_STRETCH * SPIN_ROUNDS)


def _spin_s(rounds: int = SPIN_ROUNDS) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        pass
    return time.perf_counter() - started
