"""A clock that only the control loop moves, and a server that answers from a script in as long as it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reflex_analysis.motion.arm import Arm
from reflex_analysis.motion.loop import Course, Pace, drive
from reflex_analysis.motion.network import Network, Question, Reply
from reflex_analysis.motion.strategies import STRATEGIES

__all__ = ["HORIZON", "HZ", "FakeClock", "ScriptedServer", "line", "tried"]

HZ = 50.0
HORIZON = 50
Chunk = npt.NDArray[np.float64]
Policy = Callable[[Question], Chunk | str]
"""A chunk, or the code of a refusal."""


@dataclass
class FakeClock:
    now_s: float = 100.0

    def now(self) -> float:
        return self.now_s

    def sleep_until(self, at_s: float) -> None:
        self.now_s = max(self.now_s, at_s)


@dataclass
class _Given:
    given: Reply

    def reply(self) -> Reply:
        return self.given


@dataclass
class ScriptedServer:
    """Answers `took_s` after it was asked."""

    clock: FakeClock
    policy: Policy
    took_s: float = 0.001
    asked: list[Question] = field(default_factory=list)

    def ask(self, question: Question) -> _Given:
        self.asked.append(question)
        found, at_s = self.policy(question), self.clock.now() + self.took_s
        return _Given(Reply(None, at_s, refusal=found) if isinstance(found, str) else Reply(found, at_s))


def line(start: float, slope: float, axes: int = 1, steps: int = HORIZON) -> Chunk:
    """From `start`, `slope` a step."""
    return np.repeat((start + slope * np.arange(steps))[:, None], axes, axis=1)


def tried(
    name: str, policy: Policy, *, ticks: int = 200, latency_ms: float = 0.0, jitter_ms: float = 0.0, seed: int = 0
) -> tuple[Course, list[Question]]:
    """A trial of 50 Hz on one axis, without any time: its course, and what was asked."""
    clock = FakeClock()
    server = ScriptedServer(clock, policy)
    network = Network(server, latency_ms=latency_ms, jitter_ms=jitter_ms, seed=seed)
    course = drive(STRATEGIES[name], Arm(np.zeros(1)), network, clock, Pace(HZ, HORIZON, HORIZON // 2, ticks))
    return course, server.asked
