"""A control loop with everything round it, on a clock that the test moves: no thread, no waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex.connector import ActionChunk, Observation
from reflex.embodiments import Embodiment
from reflex_runner.loop.control_loop import ControlLoop
from reflex_runner.loop.hands import Mode, hands_for
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import RunProblem, Tally
from reflex_runner.loop.telling import Telling
from reflex_runner.loop.wakefulness import Wakefulness
from reflex_runner.loop.watchdog import Verdict
from reflex_runner.motion.pilot import Pilot
from reflex_runner.motion.settings import MotionSettings
from reflex_runner.tick import DatedChunk, Event, Tick
from support.runner.arms import arm, pose

__all__ = ["Done", "RecordingArm", "Told", "World"]

FloatArray = npt.NDArray[np.float32]


@dataclass
class Done:
    """Something that was done with the robot: `apply`, `safe_stop` or `release`."""

    at_s: float
    what: str
    command: FloatArray | None = None
    reason: str = ""
    has_failed: bool = False


class RecordingArm:
    """A connector that remembers what was done with it; `faults` are raised, each once or for ever."""

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self.now = now
        self.done: list[Done] = []
        self.faults: dict[str, Exception] = {}
        self.state = pose(0, 50)
        self.before_apply: Callable[[ActionChunk], None] = lambda _: None

    def start(self) -> None:
        self._note("start")

    def get_observation(self) -> Observation:
        return Observation(self.state, {}, None, self.now())

    def apply_action(self, chunk: ActionChunk) -> None:
        assert chunk.actions.shape[0] == 1
        self.before_apply(chunk)
        self._note("apply", chunk.actions[0])
        self.state = chunk.actions[0]

    def safe_stop(self, reason: str = "") -> None:
        self._note("safe_stop", reason=reason)

    def release(self) -> None:
        self._note("release")

    def stop(self) -> None:
        self._note("stop")

    def whats(self) -> list[str]:
        return [one.what for one in self.done]

    def _note(self, what: str, command: FloatArray | None = None, reason: str = "") -> None:
        self.done.append(Done(self.now(), what, command, reason, what in self.faults))
        if what in self.faults:
            raise self.faults[what]


@dataclass
class Told:
    """A listener that remembers."""

    ticks: list[Tick] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    chunks: list[DatedChunk] = field(default_factory=list)
    observations: list[int] = field(default_factory=list)

    def observed(self, seq: int, observation: Observation) -> None:
        assert observation is not None
        self.observations.append(seq)

    def answered(self, chunk: DatedChunk) -> None:
        self.chunks.append(chunk)

    def ticked(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def noted(self, event: Event) -> None:
        self.events.append(event)


@dataclass
class Measured:
    """In place of `Senses`."""

    observation: Observation | None = None

    def measured(self, now: float) -> Observation | None:
        assert now >= 0
        return self.observation


@dataclass
class Answered:
    """In place of `Inference`."""

    chunks: deque[DatedChunk] = field(default_factory=deque)
    trouble: RunProblem | None = None

    def forget(self) -> None:
        self.chunks.clear()


@dataclass
class Watching:
    """In place of `Watchdog`: what it heard, and what it says."""

    heard: list[str] = field(default_factory=list)
    says: Verdict | None = None

    def beat(self) -> None:
        self.heard.append("beat")

    def arm(self) -> None:
        if "arm" not in self.heard or self.heard[::-1].index("arm") > ["disarm", *self.heard][::-1].index("disarm"):
            self.heard.append("arm")

    def disarm(self) -> None:
        self.heard.append("disarm")

    def be_patient(self) -> None:
        self.heard.append("be_patient")

    def verdict(self) -> Verdict | None:
        return self.says


@dataclass
class Permitting:
    """What a session says."""

    says: str | None = None

    def refusal(self, now: float) -> str | None:
        assert now >= 0
        return self.says


class World:
    """`go(periods)` lets the loop run for so many; `before` is called before each, and may do anything to it."""

    def __init__(
        self, mode: Mode = "apply_actions", *, robot: Embodiment | None = None, period_s: float = 0.125,
        max_steps: int = 0, at_s: float = 100.0, **settings: Any,
    ) -> None:  # fmt: skip
        self.now_s = at_s
        self.period_s = period_s
        self.connector = RecordingArm(self.now)
        self.senses, self.inference, self.watch, self.permit = Measured(), Answered(), Watching(), Permitting()
        self.stops, self.tally, self.told = StopRequests(), Tally(), Told()
        self.before: Callable[[int], None] = lambda _period: None
        self.oversleeps_s: Callable[[], float] = lambda: 0.0
        self.slept_s = 0.0
        self._periods, self._limit = 0, 0
        robot = robot or arm()
        given: dict[str, Any] = {"ease_in_s": 0.0} | settings
        self.pilot = Pilot(
            MotionSettings(robot=robot, period_s=period_s, **given), applies=mode == "apply_actions"
        )  # fmt: skip
        self.control = ControlLoop(
            self.pilot, hands_for(mode, self.connector, period_s), self.senses, self.inference, period_s=period_s,
            max_steps=max_steps, stops=self.stops, watch=self.watch, permit=self.permit, tally=self.tally,
            telling=Telling([self.told], self), clock=self, wakefulness=Wakefulness(lambda: self.slept_s),
        )  # fmt: skip
        self.measure(pose(0, 50) if robot.state_dim == 2 else None)

    def now(self) -> float:
        return self.now_s

    def sleep_until(self, moment: float) -> None:
        self.now_s = max(self.now_s, moment) + self.oversleeps_s()
        self._periods += 1
        if self._periods >= self._limit:
            self.control.let_end()
        else:
            self.before(self._periods)

    def go(self, periods: int) -> list[Tick]:
        """The ticks of these periods."""
        self._periods, self._limit, seen = 0, periods, len(self.told.ticks)
        self.control._may_end.clear()
        self.before(0)
        self.control.run()
        return self.told.ticks[seen:]

    def measure(self, state: FloatArray | None) -> None:
        self.senses.observation = None if state is None else Observation(state, {}, None, self.now_s)

    def answer(self, chunk: DatedChunk) -> None:
        self.inference.chunks.append(chunk)
