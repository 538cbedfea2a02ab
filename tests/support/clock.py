"""Time that passes when a test says so: a clock in seconds for whatever takes one as its `now`."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

__all__ = ["Clock", "clock"]


@dataclass
class Clock:
    """Stands until it is moved."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()
