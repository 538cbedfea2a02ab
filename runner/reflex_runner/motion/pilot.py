"""`Pilot`: decides once a period what the robot is commanded. One thread calls it.

wait ──first fresh chunk──▶ move ◀──fresh chunk──▶ hold        from each of them: stop, which latches
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.errors import ReflexError
from reflex_runner.motion.chunk_buffer import ChunkBuffer, executed_steps
from reflex_runner.motion.command_guard import CommandGuard
from reflex_runner.motion.descent import Act, Descent, StopCause, rungs_of
from reflex_runner.motion.joining import Joining
from reflex_runner.motion.limits import measured_axes, per_period
from reflex_runner.motion.settings import MotionSettings, ladder_of
from reflex_runner.tick import DatedChunk, Tick

__all__ = ["Pilot"]

FloatArray = npt.NDArray[np.float32]
Pose = npt.NDArray[np.float64]

RTC_APPLIED: Final = "rtc_applied"


class Pilot:
    """Holds what is commanded to the limits, to the newest observation, and to a stop once there was one."""

    def __init__(self, settings: MotionSettings, *, applies: bool) -> None:
        """`applies`: somebody carries the commands out, so a stop has something to bring to rest."""
        self._settings = settings
        self._ladder = ladder_of(settings.robot)
        self._freshness = settings.freshness
        self._axes = list(measured_axes(settings.robot))
        held = per_period(settings.robot, settings.period_s)
        self._guard = CommandGuard(held, max_clamped_steps=settings.max_clamped_steps)
        self._joining = Joining(held, settings.period_s, settings.ease_in_s)
        self._buffer = ChunkBuffer(settings.robot)
        self._applies = applies
        self._began_s: float | None = None
        self._refusal: str | None = None
        self._passed_over: DatedChunk | None = None
        self._last: Tick | None = None
        self._cause: StopCause | None = None
        self._descent: Descent | None = None

    @property
    def stop_after_s(self) -> float:
        """The age of an observation at which a robot without a younger one stops."""
        return self._freshness.stop_after_s

    @property
    def cause(self) -> StopCause | None:
        """Why the run stops; the first reason stays."""
        return self._cause

    @property
    def failures(self) -> tuple[str, ...]:
        """The rungs that did not work."""
        return () if self._descent is None else tuple(self._descent.failures)

    @property
    def is_moving(self) -> bool:
        """Whether the last period followed a chunk."""
        return self._last is not None and self._last.kind == "move"

    @property
    def is_over(self) -> bool:
        """Whether the run stopped, and nothing is left to be done for that."""
        return self._descent is not None and self._descent.is_over

    @property
    def has_begun(self) -> bool:
        """Whether anything was commanded since the start, or since `resume`."""
        return self._guard.has_begun

    def admit(self, chunk: DatedChunk, now: float) -> str | None:
        """Take the policy's newest answer, or say in words why it is refused."""
        if self._cause is not None:
            self._passed_over = chunk
            return "the run has stopped"
        self._refusal = self._buffer.admit(chunk, now)
        self._passed_over = chunk if self._refusal is not None else None
        return self._refusal

    def executed_steps(self, chunk: DatedChunk, moment: float) -> int:
        """Of that answer, how many actions are executed at that moment; all of one that is not being followed.

        One that was not offered to `admit` yet is followed from the next period on.
        """
        is_followed = self.is_moving if chunk is self._buffer.newest else chunk is not self._passed_over
        return executed_steps(chunk, moment) if is_followed else len(chunk.actions)

    def stop(self, cause: StopCause, *, is_stopped_already: bool = False) -> None:
        """From the next period on, down the ladder. It latches: a later reason changes nothing, a chunk neither.

        A robot that somebody else has stopped already is left alone.
        """
        if self._cause is not None:
            return
        self._cause = cause
        descends = self._applies and not is_stopped_already
        rungs = rungs_of(self._ladder, has_begun=self.has_begun) if descends else ()
        self._descent = Descent(rungs, self._ladder, self._guard, self._settings.period_s)

    def take_back(self) -> None:
        """The first command has not reached the robot: nothing has moved it, and a stop will not."""
        self._guard.forget()

    def cut_short(self) -> None:
        """The second Ctrl-C: hold, and nothing else."""
        if self._descent is not None and self._applies:
            self._descent.cut_short()

    def resume(self) -> None:
        """Only when an operator says so: forget the stop, and begin anew from the measured pose."""
        self._cause = self._descent = self._last = self._began_s = self._refusal = None
        self._guard.forget()
        self._joining.forget()
        self._buffer.clear()

    def take_act(self) -> Act | None:
        """What the ladder wants to be done with the robot beside the command of the last tick; each once."""
        return None if self._descent is None else self._descent.take_act()

    def fail(self, why: str) -> None:
        """What the last tick of a stop wanted to be done with the robot failed: the ladder goes to its next rung."""
        if self._descent is not None:
            self._descent.fail(why)

    def tick(self, now: float, state: FloatArray | None, *, step: int = 0, late_s: float = 0.0) -> Tick:
        """One period: what is commanded now. `state` is the newest measured one, or None when there is none."""
        self._began_s = now if self._began_s is None else self._began_s
        if self._cause is None:
            self._stop_what_is_stale(now)
        self._last = replace(self._decide(now, state), step=step, late_s=late_s, measured=state)
        return self._last

    def _decide(self, now: float, state: FloatArray | None) -> Tick:
        pose = None if state is None else state[self._axes]
        if self._descent is not None:
            return Tick(0, now, "stop", command=self._descent.command(now, pose))
        chunk, wanted = self._buffer.newest, self._wanted(now)
        if chunk is None or wanted is None:
            return self._stand(now)
        try:
            if not self.has_begun:
                return self._stand(now) if pose is None else self._begin(now, chunk, wanted, pose)
            return self._follow(now, chunk, wanted)
        except ReflexError as exc:
            self.stop(StopCause(exc.code, f"a command was refused: {exc}"))
            return self._decide(now, state)

    def _stand(self, now: float) -> Tick:
        """Hold the last commanded pose; before there is one, wait."""
        self._joining.leave()
        if not self.has_begun:
            return Tick(0, now, "wait")
        return Tick(0, now, "hold", command=self._guard.commanded)

    def _begin(self, now: float, chunk: DatedChunk, wanted: Pose, pose: FloatArray) -> Tick:
        command = self._guard.begin(pose)
        self._joining.begin(chunk, now, command, wanted)
        return Tick(0, now, "move", wanted=wanted.astype(np.float32), command=command, chunk_seq=chunk.seq)

    def _follow(self, now: float, chunk: DatedChunk, wanted: Pose) -> Tick:
        if self._joining.is_new(chunk):
            self._join(now, chunk, wanted)
        admitted = self._guard.admit(self._joining.joined(now, wanted))
        if self._guard.changes_too_much:
            self.stop(StopCause("clamped_steps", self._guard.last_words(admitted.violations)))
        return Tick(
            0, now, "move", wanted=wanted.astype(np.float32), command=admitted.actions[0], chunk_seq=chunk.seq,
            violations=admitted.violations,
        )  # fmt: skip

    def _join(self, now: float, chunk: DatedChunk, wanted: Pose) -> None:
        """The gap is that between the last command and what the chunk says for the same moment, if it reaches there."""
        commanded = self._guard.commanded
        if self._last is None or not self.is_moving:
            self._joining.join(chunk, now, commanded, wanted)  # it stood: the motion begins here
        elif chunk.answer.get(RTC_APPLIED) is True:
            self._joining.let_continue(chunk)
        else:
            then = self._buffer.wanted(max(self._last.at_s, chunk.captured_s))
            self._joining.join(chunk, self._last.at_s, commanded, wanted if then is None else then)

    def _wanted(self, now: float) -> Pose | None:
        chunk = self._buffer.newest
        if chunk is None or self._freshness.judge(now - chunk.captured_s) != "fresh":
            return None
        return self._buffer.wanted(now)

    def _stop_what_is_stale(self, now: float) -> None:
        chunk, began_s = self._buffer.newest, now if self._began_s is None else self._began_s
        age_s = float("inf") if chunk is None else now - chunk.captured_s
        if self.has_begun and self._freshness.judge(age_s) == "stop":
            self.stop(StopCause("stale_chunk", _silence(age_s)))
        elif not self.has_begun and now - began_s >= self._settings.begin_within_s:
            self.stop(StopCause("never_began", self._why_not_begun(age_s)))

    def _why_not_begun(self, age_s: float) -> str:
        waited = f"nothing could be commanded within {self._settings.begin_within_s:g} s"
        if self._refusal is not None:
            return f"{waited}: the policy's chunks are refused ({self._refusal})"
        if age_s == float("inf"):
            return f"{waited}: no chunk came from the policy"
        return (
            f"{waited}: the newest observation that the policy has answered is {age_s:.2f} s old, and hold_after_ms is "
            f"{self._freshness.hold_after_s * 1000:g}"
        )


def _silence(age_s: float) -> str:
    return (
        f"the newest observation that the policy has answered is {age_s:.2f} s old: the server is silent or too slow, "
        "or a camera or the robot's state is too old to be sent"
    )
