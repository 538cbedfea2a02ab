"""The measures of each episode of a slot: requests within an episode depend on each other, episodes do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from reflex.traces.reader import TraceReader
from reflex.traces.schema import RequestRecord, ShadowRecord
from reflex_analysis.figures import Floats, is_server_error
from reflex_analysis.measures import EpisodeChunks, PerAxis
from reflex_analysis.slot_policies import SlotPolicies

__all__ = ["METRICS", "EpisodeTable", "Metric", "SlotEpisodes", "read_episodes"]


@dataclass
class _Episode:
    requests: int = 0
    answers: int = 0
    failures: int = 0
    clamped: int = 0
    latency_ms: float = 0.0
    jerk: float = 0.0
    jerks: int = 0
    jump: float = 0.0
    jumps: int = 0

    def add(self, record: RequestRecord, jerk: PerAxis | None, jump: PerAxis | None) -> None:
        self.requests += 1
        self.failures += is_server_error(record.status)
        if record.status == 200:
            self.answers += 1
            self.clamped += record.guard_clamped
            self.latency_ms += record.latency_ms
        if jerk is not None:
            self.jerk, self.jerks = self.jerk + float(jerk.mean()), self.jerks + 1
        if jump is not None:
            self.jump, self.jumps = self.jump + float(jump.mean()), self.jumps + 1


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure of an episode, the less the better; `of` gives its sum and how many values are in it."""

    name: str
    unit: str
    meaning: str
    of: Callable[[_Episode], tuple[float, int]]


METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("latency", "ms", "mean latency of the answers", lambda e: (e.latency_ms, e.answers)),
        Metric("jerk", "unit²", "mean squared third difference within chunks", lambda e: (e.jerk, e.jerks)),
        Metric("jump", "unit", "mean jump from chunk to chunk", lambda e: (e.jump, e.jumps)),
        Metric("clamps", "share", "share of answers that the guard changed", lambda e: (float(e.clamped), e.answers)),
        Metric(
            "errors", "share", "share of requests that the server failed", lambda e: (float(e.failures), e.requests)
        ),
    )
}


@dataclass(frozen=True, slots=True)
class SlotEpisodes:
    """The episodes of one policy in one slot."""

    policy: str
    policy_hash: str | None
    """Over its graphs and weights; None where no header names it."""
    episodes: int
    values: Mapping[str, Floats]
    """By metric, one value for each episode that has one."""
    reduced: int = 0
    """Requests among them that went to the policy's variant with fewer denoising steps, for `--slo-mode degrade`."""


@dataclass(frozen=True, slots=True)
class EpisodeTable:
    """Both slots; one without episodes is absent. `excluded` counts requests that belong to no comparison, and why."""

    slots: Mapping[str, SlotEpisodes]
    excluded: Mapping[str, int]


def read_episodes(reader: TraceReader) -> EpisodeTable:
    """Read the whole recording once. Of a slot whose policy was replaced, the policy of the last header counts."""
    chunks, policies = EpisodeChunks(), SlotPolicies()
    slots: dict[str, _Slot] = {}
    excluded: Counter[str] = Counter()
    for entry in reader:
        record = entry.record
        if isinstance(record, ShadowRecord):
            continue
        measures = chunks.measure(entry, record)
        belonging = policies.belonging(entry, record)
        if record.episode_id is None:
            excluded["without an episode id"] += 1
        elif record.routing_degraded:
            excluded["routed to the other slot"] += 1
        else:
            slot = slots.setdefault(record.slot, _Slot(belonging.policy))
            if not belonging.is_replaced:
                slot.last = belonging.policy
            group = slot.groups.setdefault(belonging.policy, _Group())
            group.reduced += belonging.is_reduced
            group.policy_hash = belonging.policy_hash or group.policy_hash
            group.episodes.setdefault(record.episode_id, _Episode()).add(record, measures.jerk, measures.jump)
    excluded["of a policy that was replaced"] = sum(slot.replaced_requests for slot in slots.values())
    found = {name: _slot_episodes(slot.last, slot.groups[slot.last]) for name, slot in sorted(slots.items())}
    return EpisodeTable(found, {reason: count for reason, count in excluded.items() if count})


@dataclass
class _Group:
    policy_hash: str | None = None
    reduced: int = 0
    episodes: dict[str, _Episode] = field(default_factory=dict)


@dataclass
class _Slot:
    """The episodes by policy. `last` is the policy of the last header that has any."""

    last: str
    groups: dict[str, _Group] = field(default_factory=dict)

    @property
    def replaced_requests(self) -> int:
        replaced = (group for policy, group in self.groups.items() if policy != self.last)
        return sum(episode.requests for group in replaced for episode in group.episodes.values())


def _slot_episodes(policy: str, group: _Group) -> SlotEpisodes:
    values = {}
    for name, metric in METRICS.items():
        parts = (metric.of(episode) for episode in group.episodes.values())
        values[name] = np.array([total / count for total, count in parts if count])
    return SlotEpisodes(policy, group.policy_hash, len(group.episodes), values, group.reduced)
