"""How many pictures a second there are, by their dates."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Rate"]

PICTURES: Final = 60
GONE_S: Final = 2.0
"""Without a picture for so long there is no rate any more."""


class Rate:
    """Over the last pictures."""

    def __init__(self) -> None:
        self._dates: deque[float] = deque(maxlen=PICTURES)

    def note(self, captured_s: float) -> None:
        """One more. After a pause the measurement begins anew."""
        if self._dates and captured_s - self._dates[-1] > GONE_S:
            self._dates.clear()
        self._dates.append(captured_s)

    def hz(self, now: float) -> float | None:
        """None while there are fewer than two."""
        if self._dates and now - self._dates[-1] > GONE_S:
            return 0.0
        took_s = self._dates[-1] - self._dates[0] if self._dates else 0.0
        return (len(self._dates) - 1) / took_s if took_s > 0 else None
