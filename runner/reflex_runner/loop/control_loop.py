"""`ControlLoop`: one thread, which once a period decides by the pilot, commands by the hands, and does nothing else.

No image, no JSON, no file, no network: whatever could take long is done by others, who are told and do not wait.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import Final, Protocol

from reflex.connector import Observation
from reflex_runner.clock import Clock
from reflex_runner.errors import RunnerError, code_of
from reflex_runner.loop.hands import Hands
from reflex_runner.loop.ports import Permit
from reflex_runner.loop.precedence import take_precedence
from reflex_runner.loop.stopping import StopRequests
from reflex_runner.loop.tally import RunProblem, Tally
from reflex_runner.loop.telling import Telling
from reflex_runner.loop.wakefulness import Wakefulness
from reflex_runner.loop.watchdog import SILENCE_S, Unwatched, Verdict, Watch
from reflex_runner.motion.descent import StopCause
from reflex_runner.motion.pilot import Pilot
from reflex_runner.tick import DatedChunk, Tick, TickKind

__all__ = ["ControlLoop"]

LEAST_PERIODS: Final = 0.5
"""Between the beginnings of two periods: after a late one the next would come too soon, and the arm jerk."""
LATE_PERIODS: Final = 2
"""A command that was handed over later may have come after the watchdog's hold."""
WANT_OF_A_CHUNK: Final = ("stale_chunk", "never_began")
"""Causes that have a cause: why no chunk came."""
ANYTHING: Final = (Exception, SystemExit)
"""What somebody else's code may raise. A SystemExit would end a thread without a word, and leave the robot moving."""


class Measuring(Protocol):
    """Knows where the robot is: `Senses`."""

    def measured(self, now: float) -> Observation | None:
        """At once; None when nothing young enough is known."""
        ...


class Answering(Protocol):
    """Has the policy's answers: `Inference`."""

    chunks: deque[DatedChunk]
    trouble: RunProblem | None

    def forget(self) -> None:
        """What was answered belongs to a motion that is over."""
        ...


class ControlLoop:
    """Runs until the robot is stopped, and then on without moving anything until `resume` or `end`."""

    def __init__(
        self,
        pilot: Pilot,
        hands: Hands | None,
        senses: Measuring,
        inference: Answering,
        *,
        period_s: float,
        max_steps: int,
        stops: StopRequests,
        watch: Watch,
        permit: Permit | None,
        tally: Tally,
        telling: Telling,
        clock: Clock,
        wakefulness: Wakefulness | None = None,
    ) -> None:
        self._pilot, self._hands, self._senses, self._inference = pilot, hands, senses, inference
        self._period_s, self._max_steps = period_s, max_steps
        self._stops, self._watch, self._permit = stops, watch, permit
        self._tally, self._telling, self._clock = tally, telling, clock
        self._wakefulness = wakefulness or Wakefulness()
        self._periods, self._has_applied = 0, False
        self._told: StopCause | None = None
        self._last_kind: TickKind = "wait"
        self._has_applied_late = False
        self._obeyed: Verdict | None = None
        self._thread = threading.Thread(target=self._run_first, name="reflex-control", daemon=True)
        self.stopped = threading.Event()
        """Set when the robot is stopped: nothing moves any more until `resume`."""
        self._may_end = threading.Event()
        self._resumes = threading.Event()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def resume(self) -> None:
        """The operator at the terminal lets the run go on."""
        self._resumes.set()  # first: a period that is under way would find the robot stopped, and say so again
        self.stopped.clear()
        if self._may_end.is_set():  # it has failed just now, and nobody else would say that it stands
            self.stopped.set()

    def end(self) -> None:
        """After a stop: the thread ends."""
        self.let_end()
        self._thread.join()

    def let_end(self) -> None:
        """After this period."""
        self._may_end.set()

    @property
    def can_resume(self) -> bool:
        """Whether the thread would hear `resume`."""
        return not self._may_end.is_set()

    @property
    def cause(self) -> StopCause | None:
        """Why it stopped."""
        return self._pilot.cause

    def _run_first(self) -> None:
        take_precedence()
        self.run()

    def run(self) -> None:
        """What the thread does, until `let_end`."""
        try:
            moment = self._clock.now()
            while not self._may_end.is_set():
                began = self._clock.now()
                self._period(began, began - moment)
                moment = self._next(moment, began)
                self._clock.sleep_until(moment)
        except ANYTHING as exc:  # a fault of ours: the arm is held, whatever it was
            self._hold_for_good(exc)

    def _next(self, moment: float, began: float) -> float:
        """The next moment of the fixed grid that is not past and not too soon; those between are counted, and gone."""
        earliest = max(self._clock.now(), began + LEAST_PERIODS * self._period_s)
        missed = max(0, -int((moment + self._period_s - earliest) // self._period_s))
        self._tally.overruns += missed
        return moment + (1 + missed) * self._period_s

    def _period(self, now: float, late_s: float) -> None:
        self._listen(now)
        measured = self._senses.measured(now)
        state = None if measured is None else measured.state
        tick = self._pilot.tick(now, state, step=self._periods, late_s=late_s)
        tick = self._carry_out(tick)
        self._periods += 1
        self._tally.ticked(tick)
        self._telling.ticked(tick)
        self._conclude(tick)
        self._watch.beat()

    def _listen(self, now: float) -> None:
        """Whatever speaks against going on, before anything is commanded."""
        if self._resumes.is_set():
            self._resume()
        refusal = None if self._permit is None or self._hands is None else self._permit.refusal(now)
        if refusal is not None:
            self._pilot.stop(StopCause("not_permitted", refusal))
        if self._max_steps and self._tally.steps >= self._max_steps:
            self._pilot.stop(StopCause("max_steps", f"{self._max_steps} steps are done", "end"))
        if self._stops.cause is not None:
            self._pilot.stop(self._stops.cause)
        verdict = self._watch.verdict()
        if verdict is not None and verdict != self._obeyed and not self._pilot.is_over:
            self._obey(verdict)
        if self._wakefulness.nap_s():
            self._pilot.stop(StopCause("slept", self._slept()))
        self._take_chunks(now)

    def _obey(self, verdict: Verdict) -> None:
        """What the watchdog has stopped is left alone, but held again where a command slipped in or a stop went on."""
        self._obeyed = verdict
        is_held_again = verdict.has_acted and (self._has_applied_late or self._pilot.cause is not None)
        self._pilot.stop(
            StopCause("watchdog", verdict.message), is_stopped_already=verdict.has_acted and not is_held_again
        )
        if is_held_again:
            self._pilot.cut_short()

    def _is_stopped_by_watchdog(self) -> bool:
        verdict = self._watch.verdict()
        return verdict is not None and verdict.has_acted

    def _take_chunks(self, now: float) -> None:
        while self._inference.chunks:
            chunk = self._inference.chunks.popleft()
            refusal = self._pilot.admit(chunk, now)
            if refusal is not None and self._pilot.cause is None:
                self._tally.refused_chunks += 1
                self._telling.note("warning", "refused_chunk", f"chunk {chunk.seq} is not followed: {refusal}")

    def _carry_out(self, tick: Tick) -> Tick:
        act = self._pilot.take_act()
        if self._hands is None:
            return tick
        try:
            if act is not None:
                self._watch.be_patient()
                self._hands.do(act, self._reason())
            elif tick.command is not None and not self._is_stopped_by_watchdog():  # frozen since `_listen`, it may be
                self._refuse_late(tick)
                self._watch.arm()
                self._hands.apply(tick.command)
                self._has_applied = True
                self._has_applied_late = self._clock.now() - tick.at_s > LATE_PERIODS * self._period_s
                return replace(tick, applied=True)
        except ANYTHING as exc:  # somebody else's code; whatever it raises stops the robot
            self._fail(tick, exc)
        return tick

    def _refuse_late(self, tick: Tick) -> None:
        """A command is for its moment: after a pause in between the watchdog may have stopped the robot already.

        Where there is none, a command grows as old as what it was made of may.
        """
        late_s = self._clock.now() - tick.at_s
        if late_s >= self._too_late_s:
            raise RunnerError(f"this process stood still for {late_s:.1f} s, and its command is too old to be applied")
        if self._wakefulness.nap_s():
            raise RunnerError(self._slept())

    @property
    def _too_late_s(self) -> float:
        return self._pilot.stop_after_s if isinstance(self._watch, Unwatched) else SILENCE_S

    def _slept(self) -> str:
        return (
            f"this computer slept for {self._wakefulness.nap_s():.1f} s, and nobody knows what has happened meanwhile: "
            "keep it awake while the robot is on (systemd-inhibit), and begin a new run"
        )

    def _fail(self, tick: Tick, exc: BaseException) -> None:
        message = str(exc) or type(exc).__name__
        if tick.kind == "stop":
            self._pilot.fail(message)
        else:
            if not self._has_applied:
                self._pilot.take_back()
            self._pilot.stop(StopCause(code_of(exc, "apply_failed"), f"applying failed: {message}"))

    def _reason(self) -> str:
        cause = self._pilot.cause
        return "" if cause is None else f"{cause.code}: {cause.message}"

    def _conclude(self, tick: Tick) -> None:
        if tick.kind == "hold" and self._last_kind == "move":
            self._telling.note("warning", "hold", self._why_held())
        self._last_kind = tick.kind
        cause = self._pilot.cause
        if cause is not None and cause is not self._told:
            self._told = cause
            self._tell(cause)
        if self._stops.is_cut_short and not self._pilot.is_over:
            self._pilot.cut_short()
        if self._pilot.is_over and not self.stopped.is_set() and not self._resumes.is_set():
            for failure in self._pilot.failures:
                self._tally.failed("stop_ladder", f"a rung of the stop ladder failed: {failure}")
            self._watch.disarm()
            self.stopped.set()

    def _why_held(self) -> str:
        trouble = self._inference.trouble
        if trouble is not None:
            return trouble.message
        return "no chunk is young enough: hold_after_ms must be above twice what the policy takes to answer"

    def _tell(self, cause: StopCause) -> None:
        trouble = self._inference.trouble
        if cause.code in WANT_OF_A_CHUNK and trouble is not None:
            self._tally.failed(trouble.code, trouble.message)  # it came first
        if cause.kind == "fault":
            self._tally.failed(cause.code, cause.message)
        self._tally.safe_stops += cause.kind != "end"
        self._telling.note("error" if cause.kind == "fault" else "info", cause.code, f"the run stops: {cause.message}")

    def _resume(self) -> None:
        self._resumes.clear()
        self._stops.forget(self._pilot.cause)
        self._inference.forget()
        self._pilot.resume()
        self._wakefulness.begin_anew()
        self._has_applied = False
        self._told = self._obeyed = None
        self._telling.note("info", "resumed", "the operator lets the run go on")

    def _hold_for_good(self, exc: BaseException) -> None:
        self._tally.failed("internal", f"the control loop failed: {str(exc) or type(exc).__name__}")
        try:
            if self._hands is not None:
                self._hands.do("hold", "the control loop failed")
        except ANYTHING as other:  # somebody else's code; it is told
            self._tally.failed("stop_ladder", f"hold: {other}")
        self._pilot.stop(StopCause("internal", "the control loop failed"), is_stopped_already=True)
        self.let_end()
        self.stopped.set()
