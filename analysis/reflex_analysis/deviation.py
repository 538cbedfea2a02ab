"""Whether an answer is the recorded one, and if not, where it begins to differ."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reflex.traces.schema import RequestRecord, TraceHeader
from reflex_analysis.figures import Floats

__all__ = ["Deviation", "Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Deviation:
    """The first value of one request that is not within the tolerance, and the largest difference of all its values.

    `step`, `axis` and the values are None when the chunks do not even have the same shape.
    """

    record_seq: int
    server_id: str
    request_id: str
    episode_id: str | None
    policy: str
    step: int | None = None
    axis: str | None = None
    recorded: float | None = None
    replayed: float | None = None
    max_abs: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The largest difference of two chunks (0 for other shapes), and where they differ beyond the tolerance."""

    max_abs: float
    deviation: Deviation | None


def judge(header: TraceHeader, record: RequestRecord, actions: list[list[float]], tolerance: float) -> Verdict:
    """Compare an answer's `actions` with the chunk that `record`, which has one, was answered with."""
    expected, got = _float32(record.answered), _float32(actions)
    if got.shape != expected.shape or got.ndim != 2:
        return Verdict(0.0, _of_other_shape(header, record))
    difference = np.abs(got - expected)
    max_abs = float(difference.max())
    beyond = np.argwhere(difference > tolerance)
    if not len(beyond):
        return Verdict(max_abs, None)
    step, axis = (int(index) for index in beyond[0])
    policy = header.policies.get(record.slot)
    deviation = replace(
        _of_other_shape(header, record),
        step=step,
        axis=_axis_name(() if policy is None else policy.action_names, axis),
        recorded=float(expected[step, axis]),
        replayed=float(got[step, axis]),
        max_abs=max_abs,
    )
    return Verdict(max_abs, deviation)


def _float32(actions: object) -> Floats:
    """As float32, which both sides have computed in, and wide enough for exact differences. Empty for ragged rows."""
    try:
        return np.asarray(actions, np.float32).astype(np.float64)
    except ValueError:
        return np.empty(0)


def _of_other_shape(header: TraceHeader, record: RequestRecord) -> Deviation:
    return Deviation(record.record_seq, header.server_id, record.request_id, record.episode_id, record.policy)


def _axis_name(names: tuple[str, ...], index: int) -> str:
    return names[index] if index < len(names) else f"axis {index}"
