"""Counts up the requests of one slot, or of one shadow policy, and says the figures at the end."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from reflex.traces.reader import Entry
from reflex.traces.schema import RequestRecord, ShadowRecord
from reflex_analysis.figures import (
    AxisSummary,
    Floats,
    ShadowSummary,
    SlotSummary,
    TimePoint,
    is_server_error,
    latency_summary,
)
from reflex_analysis.measures import EpisodeChunks, PerAxis

__all__ = ["TIME_BINS", "ShadowTally", "SlotTally"]

TIME_BINS: Final = 60
FAILED: Final = float("nan")
REFUSED: Final = float("inf")


@dataclass
class _MeanPerAxis:
    total: PerAxis | None = None
    count: int = 0

    def add(self, values: PerAxis | None) -> None:
        if values is None or (self.total is not None and self.total.shape != values.shape):
            return
        self.total = values.copy() if self.total is None else self.total + values
        self.count += 1

    @property
    def mean(self) -> list[float] | None:
        return None if self.total is None else [float(value) for value in self.total / self.count]


@dataclass
class SlotTally:
    slot: str
    policy: str
    names: tuple[str, ...] = ()
    policy_hash: str | None = None
    embodiment: str | None = None
    reduced_from: str | None = None
    times: array[float] = field(default_factory=lambda: array("d"))
    latencies: array[float] = field(default_factory=lambda: array("d"))
    """As long as `times`; `FAILED` for an error of the server, `REFUSED` for one of the client."""
    episodes: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    client_errors: Counter[str] = field(default_factory=Counter)
    timing_ms: Counter[str] = field(default_factory=Counter)
    timed: int = 0
    degraded: int = 0
    clamped: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    by_axis: Counter[int] = field(default_factory=Counter)
    jerk: _MeanPerAxis = field(default_factory=_MeanPerAxis)
    jump: _MeanPerAxis = field(default_factory=_MeanPerAxis)

    def add(self, entry: Entry, record: RequestRecord, chunks: EpisodeChunks) -> None:
        policy = entry.header.policies.get(record.slot)
        if policy is not None:
            self.names, self.policy_hash, self.embodiment = policy.action_names, policy.policy_hash, policy.embodiment
        self.times.append(record.at)
        self.degraded += record.routing_degraded
        if record.episode_id is not None:
            self.episodes.add(record.episode_id)
        if record.status != 200:
            self._add_error(record)
            return
        self.latencies.append(record.latency_ms)
        self._add_answer(record)
        measures = chunks.measure(entry, record)
        self.jerk.add(measures.jerk)
        self.jump.add(measures.jump)

    def _add_error(self, record: RequestRecord) -> None:
        is_server = is_server_error(record.status)
        self.latencies.append(FAILED if is_server else REFUSED)
        errors = self.errors if is_server else self.client_errors
        errors[record.error or f"http_{record.status}"] += 1

    def _add_answer(self, record: RequestRecord) -> None:
        self.clamped += record.guard_clamped
        for violation in record.violations:
            self.kinds[violation.kind] += 1
            self.by_axis[violation.axis] += 1
        if record.timing is not None:
            self.timed += 1
            for name in ("decode_ms", "queue_ms", "infer_ms", "guard_ms"):
                self.timing_ms[name] += getattr(record.timing, name)

    def summary(self, latency_edges: Floats, time_edges: Floats) -> SlotSummary:
        """The figures, with the latencies and the timeline in the given bins."""
        times, latencies = np.asarray(self.times), np.asarray(self.latencies)
        answered = latencies[np.isfinite(latencies)]
        jerk, jump = self.jerk.mean, self.jump.mean
        return SlotSummary(
            slot=self.slot,
            policy=self.policy,
            policy_hash=self.policy_hash,
            embodiment=self.embodiment,
            requests=len(times),
            answers=len(answered),
            episodes=len(self.episodes),
            degraded=self.degraded,
            errors=dict(self.errors.most_common()),
            client_errors=dict(self.client_errors.most_common()),
            latency=latency_summary(answered),
            timing_ms={name: total / self.timed for name, total in self.timing_ms.items()},
            clamped=self.clamped,
            violations=dict(self.kinds.most_common()),
            axes=self._axes(),
            jerk=float(np.mean(jerk)) if jerk else None,
            jump=float(np.mean(jump)) if jump else None,
            latency_counts=tuple(int(count) for count in np.histogram(answered, latency_edges)[0]),
            timeline=_timeline(times, latencies, time_edges),
            reduced_from=self.reduced_from,
        )

    def _axes(self) -> tuple[AxisSummary, ...]:
        jerk, jump = self.jerk.mean, self.jump.mean
        known = [len(self.names), *(len(values) for values in (jerk, jump) if values), *(i + 1 for i in self.by_axis)]
        return tuple(
            AxisSummary(_axis_name(self.names, index), self.by_axis[index], _at(jerk, index), _at(jump, index))
            for index in range(max(known))
        )


@dataclass
class ShadowTally:
    policy: str
    names: tuple[str, ...] = ()
    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    cosines: array[float] = field(default_factory=lambda: array("d"))
    latencies: array[float] = field(default_factory=lambda: array("d"))
    max_abs: list[float] = field(default_factory=list)
    violations: int = 0

    def add(self, entry: Entry, record: ShadowRecord) -> None:
        policy = entry.header.policies.get("shadow")
        self.names = self.names if policy is None else policy.action_names
        self.requests += 1
        self.violations += record.violations or 0
        if record.error is not None:
            self.errors[record.error] += 1
        if record.cosine is not None:
            self.cosines.append(record.cosine)
        if record.latency_ms is not None and record.error is None:
            self.latencies.append(record.latency_ms)
        for index, value in enumerate(record.max_abs or ()):
            self.max_abs += [0.0] * (index + 1 - len(self.max_abs))
            self.max_abs[index] = max(self.max_abs[index], value)

    def summary(self) -> ShadowSummary:
        return ShadowSummary(
            policy=self.policy,
            requests=self.requests,
            errors=dict(self.errors),
            mean_cosine=float(np.mean(self.cosines)) if self.cosines else None,
            least_cosine=min(self.cosines, default=None),
            max_abs={_axis_name(self.names, index): value for index, value in enumerate(self.max_abs)},
            latency=latency_summary(np.asarray(self.latencies)),
            violations=self.violations,
        )


def _timeline(times: Floats, latencies: Floats, edges: Floats) -> tuple[TimePoint, ...]:
    bins = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, TIME_BINS - 1)
    points = []
    for index in range(TIME_BINS):
        inside = latencies[bins == index]
        latency = latency_summary(inside[np.isfinite(inside)])
        points.append(
            TimePoint(
                at=float(edges[index]),
                requests=len(inside),
                errors=int(np.isnan(inside).sum()),
                p50_ms=None if latency is None else latency.p50_ms,
                p99_ms=None if latency is None else latency.p99_ms,
            )
        )
    return tuple(points)


def _axis_name(names: Sequence[str], index: int) -> str:
    return names[index] if index < len(names) else f"axis {index}"


def _at(values: Sequence[float] | None, index: int) -> float | None:
    return values[index] if values is not None and index < len(values) else None
