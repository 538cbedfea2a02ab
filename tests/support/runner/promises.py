"""What must hold in every period of a run, computed here by itself: nothing of the runner is asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Embodiment
from reflex_runner.motion.descent import StopCause
from reflex_runner.tick import DatedChunk, Tick
from support.runner.world import Done

__all__ = ["Promises"]

FloatArray = npt.NDArray[np.float32]
EXTERNAL = ("drawn", "not_permitted", "watchdog", "hardware_error", "clamped_steps", "previous_action")
"""Causes of a stop that a history brings about by itself; the others must follow from the age of the chunk."""


class Promises:
    """`arrived` are the chunks since the last period; `check` is called after each."""

    def __init__(
        self, robot: Embodiment, period_s: float, hold_s: float, stop_s: float, most_clamped: int, *, is_dry: bool
    ) -> None:
        self.robot, self.period_s, self.is_dry = robot, period_s, is_dry
        self.hold_s, self.stop_s, self.most_clamped = hold_s, stop_s, most_clamped
        self.low, self.high = np.asarray(robot.action_low), np.asarray(robot.action_high)
        self.step = np.asarray(robot.action_max_step) * min(1.0, period_s * robot.control_hz)
        assert robot.stop_ladder is not None
        self.ladder = robot.stop_ladder
        self.arrived: list[DatedChunk] = []
        self.moves = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """An operator lets the run go on."""
        self.arrived.clear()
        self.newest: DatedChunk | None = None
        self.last: FloatArray | None = None
        self.is_stopped = self.is_over = self.was_held = False
        self.clamped = 0

    def check(self, tick: Tick, done: Sequence[Done], cause: StopCause | None, *, is_over: bool) -> None:
        self._admit(tick.at_s)
        if tick.command is not None:
            self._is_within_limits(tick.command, tick.measured)
        self._is_the_right_kind(tick, cause)
        self._is_done(tick, [one.what for one in done], done)
        self._latches(tick, [one.what for one in done])
        self.clamped = self.clamped + 1 if tick.violations else 0
        assert self.clamped <= self.most_clamped, "too many commands in a row were changed"
        self._remember(tick, [one.what for one in done if not one.has_failed])
        self.is_over = is_over

    def _admit(self, now: float) -> None:
        for chunk in self.arrived:
            if self._may_be_followed(chunk, now):
                self.newest = chunk
        self.arrived.clear()

    def _may_be_followed(self, chunk: DatedChunk, now: float) -> bool:
        rows = chunk.actions
        return bool(
            np.isfinite(chunk.step_s)
            and chunk.step_s > 0
            and rows.shape[1] == len(self.low)
            and np.isfinite(rows).all()
            and chunk.captured_s <= now + 1e-3
            and now - chunk.captured_s < chunk.step_s * len(rows)
            and (self.newest is None or chunk.captured_s > self.newest.captured_s)
        )

    def _is_within_limits(self, command: FloatArray, measured: FloatArray | None) -> None:
        exact = command.astype(np.float64)
        assert np.isfinite(exact).all(), "not finite"
        assert (exact >= self.low).all(), "below the range"
        assert (exact <= self.high).all(), "above the range"
        previous = measured if self.last is None or (self.was_held and measured is not None) else self.last
        assert previous is not None, "commanded before the robot was measured"
        assert (np.abs(exact - previous.astype(np.float64)) <= self.step).all(), "more than one step"

    def _is_the_right_kind(self, tick: Tick, cause: StopCause | None) -> None:
        age_s = np.inf if self.newest is None else tick.at_s - self.newest.captured_s
        if tick.kind == "stop":
            assert cause is not None
            assert self.is_stopped or cause.code in EXTERNAL or self.last is not None
            assert self.is_stopped or cause.code in EXTERNAL or age_s >= self.stop_s, "stopped too early"
            return
        assert self.last is None or age_s < self.stop_s, "it goes on without a chunk for too long"
        ends = self._ends(tick.at_s) if age_s < self.hold_s else None
        if ends is None:
            assert tick.kind == ("wait" if self.last is None else "hold"), "a stale chunk is followed"
        elif self.last is not None or tick.measured is not None:
            assert tick.kind == "move", "a fresh chunk is not followed"
        if tick.kind == "move":
            self._follows(tick, ends)
        elif tick.kind == "hold":
            assert np.array_equal(tick.command, self.last), "something else is held"  # type: ignore[arg-type]
        else:
            assert tick.command is None, "commanded while it waits"

    def _ends(self, now: float) -> FloatArray | None:
        """The two actions between which this moment lies."""
        chunk = self.newest
        if chunk is None:
            return None
        position = max(0.0, (now - chunk.captured_s) / chunk.step_s)
        if position >= len(chunk.actions):
            return None
        last = len(chunk.actions) - 1
        return chunk.actions[[min(int(position), last), min(int(position) + 1, last)]]

    def _follows(self, tick: Tick, ends: FloatArray | None) -> None:
        assert ends is not None, "a chunk is followed past its end"
        assert self.newest is not None
        assert tick.chunk_seq == self.newest.seq, "another chunk than the newest is followed"
        slack = 1e-5 * np.abs(ends).max(axis=0) + 1e-5
        assert tick.wanted is not None
        assert (tick.wanted >= ends.min(axis=0) - slack).all(), "not between its two actions"
        assert (tick.wanted <= ends.max(axis=0) + slack).all(), "not between its two actions"
        self.moves += 1

    def _is_done(self, tick: Tick, whats: list[str], done: Sequence[Done]) -> None:
        assert len(whats) <= 1, "more than one thing in a period"
        assert not (self.is_dry and whats), "something was done with the robot in dry_run"
        assert not (tick.applied and whats != ["apply"]), "applied, and not handed over"
        if tick.command is not None and not self.is_dry:
            assert whats == ["apply"], "a command was not handed over"
            assert np.array_equal(done[0].command, tick.command), "another command was handed over"  # type: ignore[arg-type]

    def _latches(self, tick: Tick, whats: list[str]) -> None:
        assert not self.is_stopped or tick.kind == "stop", "it moves after a stop"
        assert not self.is_over or (tick.command is None and not whats), "something is done after the stop is over"
        assert "release" not in whats or self.ladder.release_is_safe, "released"
        assert tick.kind == "stop" or not {"safe_stop", "release"} & {*whats}, "stopped without a stop"
        if tick.kind == "stop" and tick.command is not None:
            assert "return_to_rest" in self.ladder.rungs
            assert not self.is_dry, "something to bring to rest in dry_run"
            self._goes_to_rest(tick.command)

    def _goes_to_rest(self, command: FloatArray) -> None:
        if self.last is None or self.was_held or not self.is_stopped:
            return  # it begins at the measured pose
        reach = np.asarray(self.ladder.rest_speed) * self.period_s
        assert (np.abs(command.astype(np.float64) - self.last) <= reach * (1 + 1e-5) + 1e-4).all(), "too fast to rest"

    def _remember(self, tick: Tick, whats: list[str]) -> None:
        if tick.command is not None:
            self.last, self.was_held = tick.command, False
        self.was_held = self.was_held or "safe_stop" in whats
        self.is_stopped = self.is_stopped or tick.kind == "stop"
