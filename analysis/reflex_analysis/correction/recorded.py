"""The episodes of a recording, as far as a correction head learns from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.errors import SetupError
from reflex.traces.reader import Losses, TraceReader
from reflex.traces.schema import PolicyRecord, RequestRecord
from reflex.wording.nouns import counted

__all__ = ["MOST_REQUESTS", "Observed", "Recorded", "read_recording"]

Array = npt.NDArray[np.float32]
EpisodeKey = tuple[str, str | None]

MOST_REQUESTS: Final = 50_000
"""Read of a recording: some 150 MB for chunks of 50 steps and 14 axes."""


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """One request of an episode."""

    at: float
    """When it came, Unix seconds."""
    state: Array
    chunk: Array
    """As the policy gave it, [steps, axes]."""
    is_free: bool
    """Whether the chunk was not held to the one before it: one that was says what that one said."""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Of one policy."""

    policy: PolicyRecord
    control_hz: float
    episodes: tuple[tuple[Observed, ...], ...]
    """Each by time."""
    requests: int
    losses: Losses


@dataclass
class _Found:
    """What was read of one policy so far."""

    policy: PolicyRecord
    episodes: dict[EpisodeKey, list[Observed]] = field(default_factory=dict)
    requests: int = 0
    lonely: int = 0
    """Requests without an episode."""
    unfit: int = 0
    """Requests whose state or chunk is not as long as the policy's."""


def read_recording(path: Path, policy: str | None = None) -> Recorded:
    """Raises `SetupError` where the recording says nothing of how a stale chunk should be corrected."""
    reader = TraceReader(path)
    found: dict[str, _Found] = {}
    for entry in reader:
        record = entry.record
        told = entry.header.policies.get(record.slot) if isinstance(record, RequestRecord) else None
        # With fewer denoising steps than the slot's own policy, it is another one.
        if isinstance(record, RequestRecord) and told is not None and told.model_version == record.policy:
            _take(found.setdefault(told.model_version, _Found(told)), record)
            if sum(each.requests for each in found.values()) >= MOST_REQUESTS:
                break
    return _recorded(path, _chosen(path, found, policy), reader.losses)


def _take(found: _Found, record: RequestRecord) -> None:
    chunk, told = record.actions_raw, found.policy
    if record.status != 200 or chunk is None:
        return
    if record.episode_id is None:
        found.lonely += 1
        return
    if len(record.state) != told.state_dim or chunk.shape != (told.horizon, told.action_dim):
        found.unfit += 1
        return
    came_at = record.at - record.latency_ms / 1000.0
    observed = Observed(came_at, np.asarray(record.state, np.float32), chunk, record.rtc is None)
    found.episodes.setdefault((record.episode_id, record.session_id), []).append(observed)
    found.requests += 1


def _chosen(path: Path, found: dict[str, _Found], policy: str | None) -> _Found:
    """The one that was asked for, by its name or version; the only one, if none was."""
    named = [each for version, each in found.items() if policy in (None, version, each.policy.policy_id)]
    if len(named) == 1:
        return named[0]
    if not found:
        raise SetupError(f"{path} holds no request that a policy answered; record some with `reflex serve --record`")
    known = ", ".join(found)
    if named:
        raise SetupError(f"{path} holds requests of several policies: {known}; say which with --policy")
    raise SetupError(f"{path} holds no requests of {policy}: it has {known}")


def _recorded(path: Path, found: _Found, losses: Losses) -> Recorded:
    if found.policy.control_hz is None:
        raise SetupError(f"{path} does not say how fast its robot was controlled; record anew with this Reflex")
    if not found.requests:
        raise SetupError(_why_empty(path, found))
    episodes = tuple(tuple(sorted(each, key=lambda one: one.at)) for each in found.episodes.values())
    return Recorded(found.policy, found.policy.control_hz, episodes, found.requests, losses)


def _why_empty(path: Path, found: _Found) -> str:
    if found.unfit:
        unfit = f"{counted(found.unfit, 'request')} without a state and a chunk of the policy's own lengths"
        return f"{path} has {unfit}, and no other; a head is trained from states and chunks"
    if found.lonely:
        return (
            f"{path} has {counted(found.lonely, 'request')} without an episode_id, and no other; give each run one, as "
            "`client.episode()` does"
        )
    return f"{path} holds no answer of {found.policy.model_version}; record some with `reflex serve --record`"
