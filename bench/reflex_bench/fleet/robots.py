"""The robots of a fleet: who asks when, and by when it needs its chunk.

Each robot executes half of a chunk's 50 actions and asks for the next chunk, as LeRobot's asynchronous client does at
its usual threshold: it must have it before the other half is executed. So a robot of 50 Hz asks every 0.5 s and has as
long, one of 5 Hz every 5 s. It asks by its own clock, answered or not, each period up to a tenth shorter or longer,
from a phase of its own. What is late or refused it does not ask for again: the next observation is a newer one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["HORIZON", "KEPT_SHARE", "LEFT", "RATES_HZ", "Robot", "Score", "asks_per_s", "due_times", "fleet"]

RATES_HZ: Final = (50, 30, 20, 10, 5)
HORIZON: Final = 50
LEFT: Final = 25
JITTER: Final = 0.1
KEPT_SHARE: Final = 0.98
LATE_S: Final = 0.03
DISTURBED_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class Robot:
    """One of a fleet; `rate_hz` actions it executes in a second."""

    number: int
    rate_hz: int
    left: int = LEFT
    """Actions of the chunk that are left when it asks for the next."""

    @property
    def period_s(self) -> float:
        return (HORIZON - self.left) / self.rate_hz

    @property
    def deadline_s(self) -> float:
        """From the request to the last action that is left."""
        return self.left / self.rate_hz


@dataclass(slots=True)
class Score:
    """What became of a fleet's requests."""

    kept: int = 0
    """A right chunk, in time."""
    late: int = 0
    """It came too late, or not at all."""
    refused: int = 0
    wrong: int = 0
    """Another status, or the server lost its model: a machine that stood still."""
    mixed_up: int = 0
    """Another robot's chunk, which no busy machine excuses."""
    woken: int = 0
    woken_late: int = 0
    """How often a robot of the benchmark itself was not there in time to ask."""

    @property
    def asked(self) -> int:
        return self.kept + self.late + self.refused + self.wrong + self.mixed_up

    @property
    def is_disturbed(self) -> bool:
        """Whether other programs had the machine: what was measured then is theirs."""
        return self.wrong > 0 or self.woken_late > DISTURBED_SHARE * self.woken

    def woke(self, late_s: float) -> None:
        self.woken += 1
        self.woken_late += late_s > LATE_S

    @property
    def kept_share(self) -> float:
        return self.kept / self.asked if self.asked else 0.0


def fleet(count: int, left: int = LEFT) -> list[Robot]:
    """As many robots, their rates in turn: a larger fleet is a smaller one and more."""
    return [Robot(number, RATES_HZ[number % len(RATES_HZ)], left) for number in range(count)]


def asks_per_s(robots: Sequence[Robot]) -> float:
    return sum(1 / robot.period_s for robot in robots)


def due_times(robot: Robot, seconds: float, seed: int = 0) -> Iterator[float]:
    """When it asks, in seconds from the start; the same of every fleet that it is in."""
    dice = random.Random(f"{seed}/{robot.number}")
    due = dice.uniform(0, robot.period_s)
    while due < seconds:
        yield due
        due += robot.period_s * dice.uniform(1 - JITTER, 1 + JITTER)
