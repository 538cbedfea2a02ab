"""How long an answer will take, from how long the last ones took.

Half of what decides the estimate is robust against: the first answers of a policy, which are slow for the cold caches,
and single slow ones. It leans to the slow side, for actions that are held too long are smoother than ones too few.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["DelayEstimate", "Delays"]

WARM_UP: Final = 3
"""So many first answers count only until there are others."""
LATEST: Final = 40
SHARE: Final = 0.9
"""Of the latest answers so many were as quick as the estimate: up to a tenth may be outliers."""
POLICIES: Final = 16
"""Remembered at a time; more are only there after as many replacements."""


@dataclass
class DelayEstimate:
    """Of one policy."""

    _first: list[float] = field(default_factory=list)
    _latest: deque[float] = field(default_factory=lambda: deque(maxlen=LATEST))

    def note(self, seconds: float) -> None:
        """One answer took so long."""
        if len(self._first) < WARM_UP:
            self._first.append(seconds)
        else:
            self._latest.append(seconds)

    @property
    def expected_s(self) -> float:
        """0 while nothing was measured."""
        if not self._latest:
            return min(self._first, default=0.0)
        ordered = sorted(self._latest)
        return ordered[math.ceil(SHARE * len(ordered)) - 1]


@dataclass
class Delays:
    """The estimates of all policies, by what tells one from another."""

    _of: OrderedDict[Hashable, DelayEstimate] = field(default_factory=OrderedDict)

    def of(self, policy: Hashable) -> DelayEstimate:
        """The policy's own estimate; the one that was asked for least lately makes room."""
        estimate = self._of.get(policy)
        if estimate is None:
            estimate = self._of[policy] = DelayEstimate()
            while len(self._of) > POLICIES:
                self._of.popitem(last=False)
        self._of.move_to_end(policy)
        return estimate
