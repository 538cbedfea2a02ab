"""What /metrics has counted, and what happened between two looks at it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["Counts", "read_counts"]

SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
LATENCY: Final = "reflex_act_latency_seconds"


@dataclass(frozen=True)
class Counts:
    """Counted since the server's start, or between two looks. `buckets` are cumulative, by their upper end."""

    answers: float
    latency_s: float
    """Of all answers together."""
    buckets: Mapping[float, float]
    errors: Mapping[str, float]
    """By HTTP status."""
    guarded: float
    """Answers in which the guard changed a value."""

    def since(self, before: Counts) -> Counts:
        """What has come since an earlier look; everything, when the server was started again in between."""
        if self.answers < before.answers:
            return self
        return Counts(
            self.answers - before.answers,
            self.latency_s - before.latency_s,
            {limit: count - before.buckets.get(limit, 0) for limit, count in self.buckets.items()},
            {status: count - before.errors.get(status, 0) for status, count in self.errors.items()},
            self.guarded - before.guarded,
        )

    @property
    def mean_ms(self) -> float | None:
        """None without an answer."""
        return 1000 * self.latency_s / self.answers if self.answers else None

    def at_most_ms(self, share: float) -> float | None:
        """The upper end of the bucket that the quantile lies in; None without an answer, or beyond every bucket."""
        ends = (limit for limit, count in sorted(self.buckets.items()) if count >= share * self.answers)
        found = next(ends, math.inf) if self.answers else math.inf
        return 1000 * found if math.isfinite(found) else None


def read_counts(text: str) -> Counts:
    """Read the exposition; what is none of ours, or damaged, counts as nothing."""
    totals: Counter[str] = Counter()
    buckets: dict[float, float] = {}
    errors: dict[str, float] = {}
    for name, labels, value in _samples(text):
        totals[name] += value  # type: ignore[assignment]  # a Counter of floats
        if name == f"{LATENCY}_bucket":
            limit = _number(labels.get("le", ""))
            buckets[limit] = buckets.get(limit, 0) + value
        elif name == "reflex_act_total" and (status := labels.get("status", "")) != "200":
            errors[status] = errors.get(status, 0) + value
    return Counts(
        totals[f"{LATENCY}_count"], totals[f"{LATENCY}_sum"], buckets, errors, totals["reflex_guard_clamped_total"]
    )


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        found = SAMPLE.match(line)
        if found is not None and math.isfinite(value := _number(found[3])):
            yield found[1], dict(LABEL.findall(found[2] or "")), value


def _number(text: str) -> float:
    """`+Inf` is an infinity; what is no number, too."""
    try:
        return float(text)
    except ValueError:
        return math.inf
