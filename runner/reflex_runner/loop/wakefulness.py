"""`Wakefulness`: whether this computer has slept, during which the monotonic clock of every freshness stands still."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["Wakefulness", "asleep_s"]

NAP_S: Final = 0.1
"""Below it lies what two clocks, read one after the other, are apart."""
LOOKS: Final = 3
"""At the start: a thread that is kept waiting between the two clocks reads too little, never too much."""


def asleep_s() -> float:
    """How long this computer has slept since it was started; 0 where the system does not say it."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    with_sleep = time.clock_gettime(time.CLOCK_BOOTTIME)
    return with_sleep - time.clock_gettime(time.CLOCK_MONOTONIC)


class Wakefulness:
    """A robot stays powered while the computer sleeps: what was fresh before says nothing of where things are now."""

    def __init__(self, asleep: Callable[[], float] = asleep_s) -> None:
        self._asleep = asleep
        self._known_s = 0.0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Sleep until now does not count."""
        self._known_s = max(self._asleep() for _ in range(LOOKS))

    def nap_s(self) -> float:
        """How long it has slept since it began to be watched; 0.0 when it has not."""
        slept_s = self._asleep() - self._known_s
        return slept_s if slept_s >= NAP_S else 0.0
