"""`run_in_steps`: a run of a simulation whose time passes with its commands alone, as fast as it goes.

Control loop, guard and pilot are those of every run. Only they wait for nobody: in each period the robot is measured,
the policy is asked, and then one command is applied, all in one thread.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from reflex.connector import Connector, Observation
from reflex.embodiments import Embodiment
from reflex.errors import ReflexError
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.loop.control_loop import ControlLoop
from reflex_runner.loop.hands import hands_for
from reflex_runner.loop.inference import is_passing
from reflex_runner.loop.ports import Transport
from reflex_runner.loop.run_session import Safety
from reflex_runner.loop.senses import checked
from reflex_runner.loop.step_time import StepTime
from reflex_runner.loop.stopping import StopRequests, heard
from reflex_runner.loop.tally import RunnerResult, RunProblem, Tally
from reflex_runner.loop.telling import Telling
from reflex_runner.loop.watchdog import Unwatched
from reflex_runner.motion.descent import StopCause
from reflex_runner.motion.pilot import Pilot
from reflex_runner.motion.usable import MOST_PERIODS, why_unusable
from reflex_runner.tick import DatedChunk, Listener

__all__ = ["run_in_steps"]

PAUSE_S: Final = 0.1
"""Of the computer's time, between two questions to a server that did not answer: the simulation stands meanwhile."""
LATEST_MS: Final = 59_000


class Loop(Protocol):
    """What ends when the run does."""

    def let_end(self) -> None: ...


@dataclass
class _Lockstep:
    """The senses, the inference and the clock of the control loop: whenever that sleeps, the next period is made."""

    read: Callable[[], Observation | None]
    transport: Transport
    robot: Embodiment
    time: StepTime
    pilot: Pilot
    period_s: float
    max_image_age_s: Mapping[str, float]
    steps_per_chunk: int
    patience_s: float
    stops: StopRequests
    tally: Tally
    telling: Telling
    wall: Clock
    chunks: deque[DatedChunk] = field(default_factory=deque)
    trouble: RunProblem | None = None
    control: Loop | None = None
    _newest: Observation | None = None
    _last: DatedChunk | None = None
    _seq: int = 0
    _asked_at: int = -1
    _periods: int = 0

    def now(self) -> float:
        return self.time.now()

    def sleep_until(self, moment: float) -> None:
        """The period is over; the next one begins with what is seen then. After a stop there is none."""
        self.time.sleep_until(moment)
        if self.control is not None and self.pilot.cause is not None:
            self.control.let_end()
            return
        self._periods += 1
        self.look()

    def measured(self, now: float) -> Observation | None:
        newest = self._newest
        is_young = newest is not None and now - newest.captured_s <= MOST_PERIODS * self.period_s
        return newest if is_young else None

    def forget(self) -> None:
        """What was answered belongs to a motion that is over."""
        self.chunks.clear()
        self._last = None

    def look(self) -> None:
        """Measure, and ask the policy when it is its turn. What fails stops the run."""
        try:
            observation = self.read()
            if observation is None:
                self.stops.request(StopCause("observations_ended", "there are no more observations", "end"))
                return
            self._newest = self.time.dated(checked(observation, self.robot))
        except Exception as exc:  # noqa: BLE001 - somebody else's code; whatever it raises stops the robot
            self._fail(exc, "observe_failed", "observing failed")
            return
        is_due = self._asked_at < 0 or self._periods - self._asked_at >= self.steps_per_chunk
        if is_due and self.stops.cause is None:
            self._ask(self._newest)

    def _ask(self, observation: Observation) -> None:
        why = why_unusable(observation, self.now(), self.period_s, self.max_image_age_s)
        if why is not None:
            self.tally.stale_observations += 1
            self.trouble = self.trouble or RunProblem("stale_observation", f"an observation was not sent: {why}")
            return
        seq, self._seq = self._seq, self._seq + 1
        self.telling.observed(seq, observation)
        asked_s = self.wall.now()
        try:
            chunk = self._answer(seq, observation, asked_s + self.patience_s)
        except Exception as exc:  # noqa: BLE001 - likewise
            self._fail(exc, "infer_failed", "asking the policy failed")
            return
        self.tally.answered(chunk, self.wall.now() - asked_s)
        self.telling.answered(chunk)
        self.chunks.append(chunk)
        self._last = chunk
        self.trouble, self._asked_at = None, self._periods

    def _answer(self, seq: int, observation: Observation, ends_s: float) -> DatedChunk:
        """The simulation stands still meanwhile, so what may pass is waited for."""
        while True:
            last = self._last
            executed = None if last is None else self.pilot.executed_steps(last, observation.captured_s)
            try:
                chunk = self.transport.ask(seq, observation, executed_steps=executed)
            except Exception as exc:
                if not is_passing(exc) or self.wall.now() >= ends_s or self.stops.cause is not None:
                    raise
            else:
                return replace(chunk, received_s=self.now())
            self.wall.sleep_until(self.wall.now() + PAUSE_S)

    def _fail(self, exc: Exception, code: str, what: str) -> None:
        code = exc.code if isinstance(exc, ReflexError) else code
        self.stops.request(StopCause(code, f"{what}: {str(exc) or type(exc).__name__}"))


def run_in_steps(
    connector: Connector,
    transport: Transport,
    *,
    robot: Embodiment,
    safety: Safety,
    period_s: float,
    time: StepTime,
    stops: StopRequests,
    tally: Tally,
    listeners: Iterable[Listener] = (),
    steps_per_chunk: int = 1,
    patience_s: float = 10.0,
    wall: Clock = SYSTEM_CLOCK,
) -> RunnerResult:
    """Until something stops it. The connector is started already, and stays so: it holds when this returns.

    Of each chunk `steps_per_chunk` actions are followed before the next is asked for. A server that does not answer is
    asked again for `patience_s` of the computer's time.
    """
    telling = Telling(listeners, time)
    pilot = Pilot(_patient(safety, steps_per_chunk, period_s).motion(robot, period_s), applies=True)
    lockstep = _Lockstep(
        connector.get_observation, transport, robot, time, pilot, period_s, safety.max_image_age_s, steps_per_chunk,
        patience_s, stops, tally, telling, wall,
    )  # fmt: skip
    lockstep.control = control = ControlLoop(
        pilot, hands_for("apply_actions", connector, period_s), lockstep, lockstep, period_s=period_s, max_steps=0,
        stops=stops, watch=Unwatched(), permit=None, tally=tally, telling=telling, clock=lockstep,
    )  # fmt: skip
    try:
        transport.open()
        with heard(stops):
            lockstep.look()
            control.run()
    finally:
        transport.close()
        telling.log()
    return tally.result()


def _patient(safety: Safety, steps_per_chunk: int, period_s: float) -> Safety:
    """A chunk that is followed for long on purpose is not silence: time stands while the next one is awaited."""
    if steps_per_chunk == 1:
        return safety
    hold_ms = min(LATEST_MS, math.ceil((steps_per_chunk + MOST_PERIODS) * period_s * 1000))
    hold_ms = max(hold_ms, safety.hold_after_ms or 0)
    return replace(safety, hold_after_ms=hold_ms, stop_after_ms=max(hold_ms + 1000, safety.stop_after_ms or 0))
