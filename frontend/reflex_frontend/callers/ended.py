"""Sessions that ended before their credentials did."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["KEPT_S", "EndedSessions"]

KEPT_S: Final = 180.0
"""A credential lives for 120 s; the rest is for clocks that differ, and one that was signed as its session ended."""
MOST: Final = 100_000
"""Some 20 MB. No control plane ends so many in three minutes."""


@dataclass
class EndedSessions:
    """Their ids, kept until no credential of theirs can be good any more; `now` is a monotonic clock in seconds."""

    now: Callable[[], float]
    _ended_at: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def note(self, session_id: str) -> None:
        """It ended now; beyond `MOST` the one that ended first is forgotten."""
        self._ended_at[session_id] = self.now()
        self._ended_at.move_to_end(session_id)
        while len(self._ended_at) > MOST or self.now() - next(iter(self._ended_at.values())) > KEPT_S:
            self._ended_at.popitem(last=False)

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._ended_at
