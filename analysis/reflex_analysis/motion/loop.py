"""The control loop of one trial: fixed rate, absolute deadlines, one question under way at a time."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from reflex_analysis.motion.arm import Vector
from reflex_analysis.motion.network import Answer, Network, Question
from reflex_analysis.motion.plants import Plant
from reflex_analysis.motion.playback import Playback, Seam
from reflex_analysis.motion.strategies import Strategy

__all__ = ["Clock", "Course", "Pace", "RealClock", "drive"]

REMEMBERED: Final = 10
"""Round trips: the slowest of them, and a little more, is what the robot expects of the next one."""
MARGIN: Final = 1
"""Control periods: to hold on too long to what was planned costs nothing, to let go too early is a jump."""


class Clock(Protocol):
    """Monotonic seconds."""

    def now(self) -> float: ...

    def sleep_until(self, at_s: float) -> None: ...


class RealClock:
    """This machine's."""

    def now(self) -> float:
        return time.monotonic()

    def sleep_until(self, at_s: float) -> None:
        time.sleep(max(0.0, at_s - time.monotonic()))


@dataclass(frozen=True, slots=True)
class Pace:
    """How a trial runs. `execute_steps` bounds a chunk that is waited for, `replan_steps` is when to ask ahead."""

    control_hz: float
    execute_steps: int
    replan_steps: int
    ticks: int


@dataclass
class Course:
    """What happened in a trial. All rows are one control period apart, and begin with the first command."""

    commands: list[Vector] = field(default_factory=list)
    positions: list[Vector] = field(default_factory=list)
    """Where the arm was when the period of each command ended."""
    is_held: list[bool] = field(default_factory=list)
    """Whether there was no action left, and the last command went on."""
    seams: list[Seam] = field(default_factory=list)
    """With ticks that count the rows."""
    delays: list[int] = field(default_factory=list)
    """Control periods from each question to its answer."""
    server_ms: list[float] = field(default_factory=list)
    asked: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    late: int = 0
    """Answers that came when no action was left, or of which no step was still to come."""
    guided: int = 0
    corrected: int = 0
    overruns: int = 0
    """Periods that began more than one period late: this machine was busy, not the server."""


def drive(strategy: Strategy, arm: Plant, network: Network, clock: Clock, pace: Pace) -> Course:
    """Run a trial of `pace.ticks` control periods after the first command."""
    trial = _Trial(strategy, arm, network, pace)
    period_s, started_s, tick = 1.0 / pace.control_hz, clock.now(), 0
    while len(trial.course.commands) < pace.ticks:
        clock.sleep_until(started_s + tick * period_s)
        now_s = clock.now()
        trial.course.overruns += now_s > started_s + (tick + 1) * period_s
        trial.tick(tick, now_s)
        tick += 1
    return trial.course


class _Trial:
    def __init__(self, strategy: Strategy, arm: Plant, network: Network, pace: Pace) -> None:
        self.course = Course()
        self._strategy, self._arm, self._network, self._pace = strategy, arm, network, pace
        self._playback = Playback()
        self._recent: deque[int] = deque(maxlen=REMEMBERED)

    def tick(self, tick: int, now_s: float) -> None:
        """One control period: take what has arrived, ask if it is time, and command the arm."""
        answer = self._network.arrived(now_s)
        if answer is not None:
            self._take(answer, tick)
        if not self._network.is_asked and self._is_time_to_ask(tick):
            self._ask(tick)
        self._command(tick)

    def _take(self, answer: Answer, tick: int) -> None:
        course, reply = self.course, answer.reply
        if reply.actions is None:
            course.refusals[str(reply.refusal)] = course.refusals.get(str(reply.refusal), 0) + 1
            return
        delay = tick - answer.question.tick
        self._recent.append(delay)
        course.delays.append(delay)
        course.server_ms.append(reply.server_ms)
        course.guided += bool(reply.is_guided)
        course.corrected += bool(reply.is_corrected)
        ran_out = bool(course.commands) and not self._playback.left(tick)
        ahead = self._strategy.asks_ahead
        chunk = reply.actions if ahead else reply.actions[: self._pace.execute_steps]
        begun = self._playback.begin(chunk, answer.question.tick if ahead else tick, tick)
        course.late += ran_out or not begun

    def _is_time_to_ask(self, tick: int) -> bool:
        executed = self._playback.executed(tick)
        if executed is None or not self._playback.left(tick):
            return True
        return self._strategy.asks_ahead and executed >= self._pace.replan_steps

    def _ask(self, tick: int) -> None:
        tells = self._strategy.tells_progress
        executed = self._playback.executed(tick) if tells else None
        delay = None if executed is None else min(max(self._recent) + MARGIN, self._playback.length)
        self._network.send(Question(self.course.asked, tick, self._arm.positions.copy(), tells, executed, delay))
        self.course.asked += 1

    def _command(self, tick: int) -> None:
        found = self._playback.command(tick)
        command = self._playback.last if found is None else found[0]
        if command is None:  # the first answer is still to come
            return
        if not self.course.commands:
            self._arm.place(command)  # a real arm is eased in; that is no part of the trial
        if found is not None and found[1] is not None:
            self.course.seams.append(Seam(len(self.course.commands), found[1].excess))
        self._arm.follow(command, 1.0 / self._pace.control_hz)
        self.course.commands.append(np.asarray(command))
        self.course.positions.append(self._arm.positions.copy())
        self.course.is_held.append(found is None)
