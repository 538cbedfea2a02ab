"""What each episode's last observation became inside the model, kept for the next one that is the same to the byte.

Of an observation that has just changed nothing is kept but itself: an arm that moves before its cameras changes all of
them all the time, and pays for a comparison. Once one comes again, the episode is one in which they do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from reflex_frontend.motion.leftovers import KEPT_S, EpisodeKey
from reflex_frontend.motion.rtc import Asked, policy_key
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.triton.gateway import RawTensor
from reflex_frontend.triton.stages import Prefix, StagedCall

__all__ = ["PrefixCache"]

ENTRY_BYTES: Final = 2_048
"""What an entry takes besides its tensors' bytes, generously."""


@dataclass(slots=True, eq=False)
class _Kept:
    policy: Hashable
    """Whose prefix it is: the variants of one export share their encoder."""
    observed: Sequence[RawTensor]
    prefix: Prefix | None
    size_bytes: int
    is_repeated: bool
    used_at: float


@dataclass
class PrefixCache:
    """One observation and its prefix for each episode; what was used longest ago makes room."""

    now: Callable[[], float]
    max_bytes: int
    kept_bytes: int = 0
    evicted_total: int = 0
    """Entries that had to make room, or were not asked for any more."""
    _kept: OrderedDict[EpisodeKey, _Kept] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._kept)

    def call(self, asked: Asked, policy: ServedPolicy) -> StagedCall | None:
        """How the model is to be asked; None for a request without an episode, and for a policy that has no prefix."""
        if asked.request.episode_id is None or policy.stages is None:
            return None
        episode = (asked.request.episode_id, asked.owner)
        memory = _Memory(self, episode, policy_key(policy.config), policy.stages.prefix_bytes)
        return StagedCall(policy.stages, memory)

    def find(self, episode: EpisodeKey, policy: Hashable) -> _Kept | None:
        """What is kept of the episode, if it is this policy's, and not expired."""
        self.forget_expired()
        kept = self._kept.get(episode)
        return None if kept is None or kept.policy != policy else kept

    def use(self, episode: EpisodeKey, kept: _Kept) -> None:
        """Its observation has come again."""
        kept.is_repeated, kept.used_at = True, self.now()
        if self._kept.get(episode) is kept:
            self._kept.move_to_end(episode)

    def keep(self, episode: EpisodeKey, kept: _Kept) -> None:
        """In place of what is kept of the episode; without what is larger than all that may be."""
        self._drop(episode)
        if kept.size_bytes <= self.max_bytes:
            self._kept[episode] = kept
            self.kept_bytes += kept.size_bytes
        while self.kept_bytes > self.max_bytes:
            self._evict_oldest()

    def forget_expired(self) -> None:
        """What nobody has asked for in its time."""
        while self._kept and self.now() - next(iter(self._kept.values())).used_at > KEPT_S:
            self._evict_oldest()

    def _evict_oldest(self) -> None:
        self.evicted_total += 1
        self._drop(next(iter(self._kept)))

    def _drop(self, episode: EpisodeKey) -> None:
        gone = self._kept.pop(episode, None)
        if gone is not None:
            self.kept_bytes -= gone.size_bytes


@dataclass(slots=True)
class _Memory:
    """One episode, for one request: a `reflex_frontend.triton.stages.PrefixMemory`."""

    cache: PrefixCache
    episode: EpisodeKey
    policy: Hashable
    prefix_bytes: int
    _is_wanted: bool = True
    _is_repeated: bool = False

    def find(self, observed: Sequence[RawTensor]) -> Prefix | None:
        kept = self.cache.find(self.episode, self.policy)
        self._is_repeated = kept is not None and _is_same(kept.observed, observed)
        self._is_wanted = (kept is None or kept.is_repeated or self._is_repeated) and self._fits(observed)
        if kept is None or not self._is_repeated:
            return None
        self.cache.use(self.episode, kept)
        return kept.prefix

    def is_worth_keeping(self) -> bool:
        return self._is_wanted

    def keep(self, observed: Sequence[RawTensor], prefix: Prefix | None) -> None:
        owned = [RawTensor(one.name, one.datatype, one.shape, bytes(one.data)) for one in observed]
        size_bytes = _size_bytes([*owned, *(prefix or ())]) + ENTRY_BYTES
        kept = _Kept(self.policy, owned, prefix, size_bytes, self._is_repeated, self.cache.now())
        self.cache.keep(self.episode, kept)

    def _fits(self, observed: Sequence[RawTensor]) -> bool:
        return self.prefix_bytes + _size_bytes(observed) + ENTRY_BYTES <= self.cache.max_bytes


def _size_bytes(tensors: Sequence[RawTensor]) -> int:
    return sum(memoryview(tensor.data).nbytes for tensor in tensors)


def _is_same(one: Sequence[RawTensor], other: Sequence[RawTensor]) -> bool:
    """To the byte, names and shapes too."""
    if [(tensor.name, tensor.shape) for tensor in one] != [(tensor.name, tensor.shape) for tensor in other]:
        return False
    pairs = zip(one, other, strict=True)
    return all(np.array_equal(_bytes_of(mine), _bytes_of(theirs)) for mine, theirs in pairs)


def _bytes_of(tensor: RawTensor) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(tensor.data, np.uint8)
