"""The clock of the runner: monotonic, so that no change of the day's time moves or stops an arm."""

from __future__ import annotations

import time
from typing import Final, Protocol

__all__ = ["SYSTEM_CLOCK", "Clock"]


class Clock(Protocol):
    """Seconds since an arbitrary moment; tests have one of their own."""

    def now(self) -> float:
        """What time it is; never goes back."""
        ...

    def sleep_until(self, moment: float) -> None:
        """Return at that moment, or at once when it is past."""
        ...


class _SystemClock:
    def now(self) -> float:
        return time.monotonic()

    def sleep_until(self, moment: float) -> None:
        time.sleep(max(0.0, moment - time.monotonic()))


SYSTEM_CLOCK: Final[Clock] = _SystemClock()
"""The monotonic clock of this computer, the one that `Observation.captured_s` is on."""
