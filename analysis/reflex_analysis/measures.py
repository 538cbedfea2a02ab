"""What one request says about its policy: how smooth its chunk is, and how well it continues the one before it.

Third differences stand for jerk, the usual measure of a movement's smoothness (Flash and Hogan 1985, "The coordination
of arm movements", Journal of Neuroscience 5(7)). docs/traces.md gives the formulas.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.traces.reader import Entry
from reflex.traces.schema import RequestRecord

__all__ = ["ChunkMeasures", "EpisodeChunks", "PerAxis", "chunk_jerk", "chunk_jump"]

MAX_EPISODES_AT_ONCE: Final = 4_096
"""Last chunks that are kept, about 1.5 KB each. The episode that was quiet the longest is forgotten first."""

PerAxis = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChunkMeasures:
    """Per axis, in robot units; None where there is nothing to measure (an error, a first chunk, under four steps)."""

    jerk: PerAxis | None = None
    jump: PerAxis | None = None


def chunk_jerk(chunk: npt.NDArray[np.float32]) -> PerAxis | None:
    """The mean squared third difference along the steps of `chunk` [steps, axes], per axis."""
    if len(chunk) < 4:
        return None
    third = np.diff(chunk.astype(np.float64), n=3, axis=0)
    jerk: PerAxis = np.mean(np.square(third), axis=0)
    return jerk


def chunk_jump(
    before: npt.NDArray[np.float32], chunk: npt.NDArray[np.float32], elapsed_s: float, control_hz: float | None
) -> PerAxis:
    """How far `chunk` begins from what `before` had planned for that moment, per axis.

    The moment is `elapsed_s` after `before` came, at `control_hz` actions a second. A robot that has run out of
    actions stands at the last one, and so does one whose rate is unknown.
    """
    last = len(before) - 1
    step = last if control_hz is None else min(max(round(elapsed_s * control_hz), 0), last)
    jump: PerAxis = np.abs(chunk[0].astype(np.float64) - before[step].astype(np.float64))
    return jump


@dataclass(frozen=True, slots=True)
class _Latest:
    at: float
    policy: str
    chunk: npt.NDArray[np.float32]


class EpisodeChunks:
    """Measures requests in their order; remembers the last chunk of each episode, and nothing else."""

    def __init__(self) -> None:
        self._latest: OrderedDict[str, _Latest] = OrderedDict()

    def measure(self, entry: Entry, request: RequestRecord) -> ChunkMeasures:
        """`entry` is that of `request`. A chunk that follows one of another policy has no jump: no policy made it."""
        chunk = request.answered
        if chunk is None or request.status != 200:
            return ChunkMeasures()
        before = self._replace_latest(request, chunk)
        jump = None
        if before is not None and before.policy == request.policy and before.chunk.shape[1] == chunk.shape[1]:
            policy = entry.header.policies.get(request.slot)
            rate = None if policy is None else policy.control_hz
            jump = chunk_jump(before.chunk, chunk, request.at - before.at, rate)
        return ChunkMeasures(chunk_jerk(chunk), jump)

    def _replace_latest(self, request: RequestRecord, chunk: npt.NDArray[np.float32]) -> _Latest | None:
        if request.episode_id is None:
            return None
        before = self._latest.pop(request.episode_id, None)
        self._latest[request.episode_id] = _Latest(request.at, request.policy, chunk)
        if len(self._latest) > MAX_EPISODES_AT_ONCE:
            self._latest.popitem(last=False)
        return before
