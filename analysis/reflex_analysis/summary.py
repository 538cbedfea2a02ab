"""What a recording holds, per slot and policy: counts, latency, errors, what the guard did, how smooth the chunks are.

Memory holds 16 bytes a request (its time and latency, from which exact percentiles come) and one id an episode.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from reflex.traces.reader import Losses, TraceReader
from reflex.traces.schema import ShadowRecord
from reflex_analysis.figures import Floats, Summary
from reflex_analysis.measures import EpisodeChunks
from reflex_analysis.slot_policies import SlotPolicies
from reflex_analysis.tally import TIME_BINS, ShadowTally, SlotTally

__all__ = ["summarise"]

MAX_LATENCY_BINS: Final = 48


def summarise(reader: TraceReader) -> Summary:
    """Read the whole recording once."""
    chunks, policies = EpisodeChunks(), SlotPolicies()
    slots: dict[tuple[str, str], SlotTally] = {}
    shadows: dict[str, ShadowTally] = {}
    for entry in reader:
        record = entry.record
        if isinstance(record, ShadowRecord):
            shadows.setdefault(record.policy, ShadowTally(record.policy)).add(entry, record)
        else:
            slot = slots.setdefault((record.slot, record.policy), SlotTally(record.slot, record.policy))
            belonging = policies.belonging(entry, record)
            slot.reduced_from = belonging.policy if belonging.is_reduced else None
            slot.add(entry, record, chunks)
    return _summary(_in_order(list(slots.values())), shadows, reader.losses)


def _in_order(slots: Sequence[SlotTally]) -> list[SlotTally]:
    """By slot, then by when a policy began, and each policy before its variant with fewer steps."""
    began: dict[tuple[str, str], float] = {}
    for slot in slots:
        policy = (slot.slot, slot.reduced_from or slot.policy)
        began[policy] = min(slot.times[0], began.get(policy, math.inf))
    return sorted(
        slots, key=lambda slot: (slot.slot, began[slot.slot, slot.reduced_from or slot.policy], bool(slot.reduced_from))
    )


def _summary(slots: Sequence[SlotTally], shadows: Mapping[str, ShadowTally], losses: Losses) -> Summary:
    times = np.concatenate([np.asarray(slot.times) for slot in slots] or [np.empty(0)])
    latencies = np.concatenate([np.asarray(slot.latencies) for slot in slots] or [np.empty(0)])
    latency_edges = _latency_edges(latencies[np.isfinite(latencies)])
    time_edges = np.linspace(times.min(), times.max(), TIME_BINS + 1) if times.size else np.empty(0)
    return Summary(
        first_at=float(times.min()) if times.size else None,
        last_at=float(times.max()) if times.size else None,
        requests=times.size,
        episodes=len(set().union(*(slot.episodes for slot in slots))),
        slots=tuple(slot.summary(latency_edges, time_edges) for slot in slots),
        shadows=tuple(shadow.summary() for shadow in shadows.values()),
        latency_edges_ms=tuple(float(edge) for edge in latency_edges),
        losses=losses,
    )


def _latency_edges(answered: Floats) -> Floats:
    """Bins of equal ratio: a tail ten times as long stays in the picture. Rice's rule says how many."""
    bins = min(MAX_LATENCY_BINS, max(8, math.ceil(2 * answered.size ** (1 / 3))))
    if not answered.size:
        return np.geomspace(1.0, 1000.0, bins + 1)
    low, high = max(float(answered.min()), 1e-3), float(answered.max())
    edges = np.geomspace(low, max(high, low * 1.5), bins + 1)
    edges[0], edges[-1] = min(low, float(answered.min())), max(edges[-1], high)
    return edges
