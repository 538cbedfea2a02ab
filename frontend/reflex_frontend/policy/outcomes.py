"""Whether what fails now and then has begun to fail for good: the measure of the circuit breaker, and of others."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Outcomes"]

CONSECUTIVE_FAILURES: Final = 5
WINDOW: Final = 20
FAILED_SHARE: Final = 0.5


@dataclass
class Outcomes:
    """The latest ones, True for good."""

    _latest: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, *, is_good: bool) -> None:
        self._latest.append(is_good)

    def forget(self) -> None:
        self._latest.clear()

    @property
    def are_bad(self) -> bool:
        """So many in a row, or most of a full window."""
        row = list(self._latest)[-CONSECUTIVE_FAILURES:]
        if len(row) == CONSECUTIVE_FAILURES and not any(row):
            return True
        return len(self._latest) == WINDOW and self._latest.count(False) > FAILED_SHARE * WINDOW
