"""How old a chunk may be while the robot moves by it. Its age counts from when its observation was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reflex.embodiments.stop_ladder import LATEST_STOP_MS, StopLadder
from reflex.errors import SetupError

__all__ = ["Freshness", "Judgement", "freshness_of"]

Judgement = Literal["fresh", "hold", "stop"]


@dataclass(frozen=True, slots=True)
class Freshness:
    """`SetupError` when a hold would not come before the stop."""

    hold_after_s: float
    stop_after_s: float

    def __post_init__(self) -> None:
        # Written so that a NaN, which compares false with everything, is refused too.
        if not 0 < self.hold_after_s < self.stop_after_s <= LATEST_STOP_MS / 1000:
            raise SetupError(
                f"hold_after_ms ({self.hold_after_s * 1000:g}) must be above 0 and below stop_after_ms "
                f"({self.stop_after_s * 1000:g}), which is at most {LATEST_STOP_MS}"
            )

    def judge(self, age_s: float) -> Judgement:
        """What the robot does with a chunk of that age, when it has no younger one."""
        if age_s < self.hold_after_s:
            return "fresh"
        return "hold" if age_s < self.stop_after_s else "stop"


def freshness_of(ladder: StopLadder, hold_after_ms: int | None = None, stop_after_ms: int | None = None) -> Freshness:
    """As the settings say and, where they are silent, as the robot's stop ladder does."""
    hold = ladder.hold_after_ms if hold_after_ms is None else hold_after_ms
    stop = ladder.stop_after_ms if stop_after_ms is None else stop_after_ms
    return Freshness(hold / 1000, stop / 1000)
