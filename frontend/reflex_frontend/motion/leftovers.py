"""The chunk that each episode is executing, as the policy gave it: bounded in number, bytes and time.

An episode is known by its id and by the session or the key of whoever asks, and by nothing else. It is never shared:
whoever asks under another id, in another session or with a key of another name has no part in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["KEPT_S", "EpisodeKey", "LeftOver", "LeftOvers"]

KEPT_EPISODES: Final = 1_024
KEPT_BYTES: Final = 32 * 1024 * 1024
KEPT_S: Final = 30.0
"""Longer than the chunks of robots last; what is older helps nobody."""
ENTRY_BYTES: Final = 1_024
"""What an entry takes besides its chunk, generously."""

EpisodeKey = tuple[str, str | None]
"""The episode's id, and whose it is: the session's id, or the name of a key."""


@dataclass(frozen=True, slots=True, eq=False)
class LeftOver:
    """The last chunk of an episode."""

    policy: Hashable
    """Whose normalised space it is in."""
    chunk: npt.NDArray[np.float32]
    """[horizon, action_dim], normalised, as the model gave it."""
    state: tuple[float, ...]
    """Of its observation: relative actions are relative to that."""
    received_at: float
    """When its request came in: step i belongs to this and i control periods. Monotonic seconds."""

    @property
    def size_bytes(self) -> int:
        return self.chunk.nbytes + ENTRY_BYTES


@dataclass
class LeftOvers:
    """One for each episode; the oldest makes room."""

    now: Callable[[], float]
    max_episodes: int = KEPT_EPISODES
    max_bytes: int = KEPT_BYTES
    kept_bytes: int = 0
    _kept: OrderedDict[EpisodeKey, LeftOver] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, episode: EpisodeKey) -> LeftOver | None:
        """What is kept of the episode, were it expired; None for an episode without an answer."""
        return self._kept.get(episode)

    def is_expired(self, left: LeftOver) -> bool:
        return self.now() - left.received_at > KEPT_S

    def keep(self, episode: EpisodeKey, left: LeftOver) -> None:
        """Unless an answer to a later request is there: of two that overlap, the later observation counts."""
        known = self._kept.get(episode)
        if known is not None and known.received_at > left.received_at:
            return
        self._drop(episode)
        self._kept[episode] = left
        self.kept_bytes += left.size_bytes
        self._make_room()

    def forget(self, episode: EpisodeKey) -> None:
        """The robot executes another chunk by now, of which nothing is known."""
        self._drop(episode)

    def _make_room(self) -> None:
        while len(self._kept) > self.max_episodes or self.kept_bytes > self.max_bytes or self._oldest_is_past_use():
            self._drop(next(iter(self._kept)))

    def _oldest_is_past_use(self) -> bool:
        """Twice its time, in which its episode is told that it is expired, and not that it never was."""
        oldest = next(iter(self._kept.values()), None)
        return oldest is not None and self.now() - oldest.received_at > 2 * KEPT_S

    def _drop(self, episode: EpisodeKey) -> None:
        gone = self._kept.pop(episode, None)
        if gone is not None:
            self.kept_bytes -= gone.size_bytes
