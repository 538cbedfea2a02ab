"""Random histories of a run; `support.runner.promises` says what must hold in each of their periods.

A history is drawn from a seed: a robot, chunks that are late, lost, overtaken, mad or not finite, observations that
fail, periods that are missed, stops, faults of the robot, and now and then an operator who lets it go on.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.embodiments import Embodiment, StopLadder, load_embodiment
from reflex_runner.errors import HardwareError
from reflex_runner.loop.watchdog import Verdict
from reflex_runner.motion.descent import StopCause
from reflex_runner.tick import DatedChunk
from support.runner.arms import arm
from support.runner.promises import Promises
from support.runner.world import World

__all__ = ["History"]

PERIODS: Final = 48
FloatArray = npt.NDArray[np.float32]
RUNGS: Final = (("hold",), ("hold", "return_to_rest"), ("return_to_rest",), ("hold", "return_to_rest", "release"))


class History:
    """`run` plays it, and fails at the first period in which something is wrong."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.robot = self._drawn_robot()
        self.period_s = float(self.rng.choice([1.0, 0.5, 0.25, 2.0])) / self.robot.control_hz
        hold_ms = int(self.rng.integers(2, 12) * self.period_s * 1000) + 1
        stop_ms = hold_ms + int(self.rng.integers(2, 20) * self.period_s * 1000) + 1
        self.most_clamped = int(self.rng.integers(1, 12))
        self.is_dry = bool(self.rng.random() < 0.25)
        self.world = World(
            "dry_run" if self.is_dry else "apply_actions", robot=self.robot, period_s=self.period_s,
            at_s=float(self.rng.uniform(0, 1e5)), hold_after_ms=hold_ms, stop_after_ms=stop_ms,
            max_clamped_steps=self.most_clamped, ease_in_s=float(self.rng.choice([0.0, 0.1, 1.0])),
        )  # fmt: skip
        self.promises = Promises(
            self.robot, self.period_s, hold_ms / 1000, stop_ms / 1000, self.most_clamped, is_dry=self.is_dry
        )
        self.low, self.high = self.promises.low, self.promises.high
        self.world.connector.state = self._somewhere()
        self.world.before = self.happen
        self.world.oversleeps_s = self._oversleeps_s
        self.under_way: list[tuple[float, DatedChunk]] = []
        self.seq = 0
        self.wild = float(self.rng.choice([0.0, 0.05, 0.4]))

    def run(self) -> None:
        """Fails at the first period in which something is wrong."""
        seen = 0
        for _ in range(PERIODS):
            (tick,) = self.world.go(1)
            done, cause = self.world.connector.done[seen:], self.world.pilot.cause
            self.promises.check(tick, done, cause, is_over=self.world.control.stopped.is_set())
            seen = len(self.world.connector.done)

    def happen(self, _period: int) -> None:
        if self.rng.random() < 0.6:
            self._ask()
        for arrival in [one for one in self.under_way if one[0] <= self.world.now_s]:
            self.under_way.remove(arrival)
            self.world.answer(arrival[1])
            self.promises.arrived.append(arrival[1])
        self._measure()
        roll = self.rng.random()
        if roll < 0.01:
            self.world.stops.request(StopCause("drawn", "the history says so", "operator"))
        elif roll < 0.015:
            self.world.connector.faults = {
                str(self.rng.choice(["apply", "safe_stop", "release"])): HardwareError("drawn")
            }
        elif roll < 0.02:
            self.world.permit.says = "drawn"
        elif roll < 0.025:
            self.world.watch.says = Verdict("drawn", has_acted=bool(self.rng.random() < 0.5))
        elif self.world.control.stopped.is_set() and roll < 0.2:
            self._resume()

    def _resume(self) -> None:
        self.world.connector.faults = {}
        self.world.permit.says = self.world.watch.says = None
        self.world.control.resume()
        self.promises.begin_anew()
        self.under_way.clear()

    def _ask(self) -> None:
        """An observation of now, or of a while ago, is answered sometime, or never."""
        age_s = self.period_s * float(self.rng.choice([0.0, 0.5, 1.0, 3.0, 10.0]))
        rows = int(self.rng.integers(1, 30))
        actions = self._drawn_actions(rows)
        step_s = float(self.rng.choice([1.0, 0.5, 2.0])) / self.robot.control_hz
        if self.rng.random() < 0.02:
            step_s = float(self.rng.choice([0.0, -1.0, np.nan, np.inf]))
        captured_s = self.world.now_s - age_s + (1.0 if self.rng.random() < 0.02 else 0.0)
        chunk = DatedChunk(
            self.seq, captured_s, self.world.now_s, actions, step_s, {"rtc_applied": bool(self.rng.random() < 0.3)}
        )
        self.seq += 1
        if self.rng.random() < 0.9:
            self.under_way.append((self.world.now_s + self.period_s * float(self.rng.choice([0, 0, 1, 2, 6])), chunk))

    def _drawn_actions(self, rows: int) -> FloatArray:
        goal, start = self._somewhere(), self._somewhere()
        way = np.linspace(start, goal, rows) if self.rng.random() < 0.5 else np.tile(start, (rows, 1))
        roll = self.rng.random()
        if roll < self.wild:
            way = way + self.rng.normal(0, 1, way.shape) * (self.high - self.low)
        elif roll < self.wild + 0.05:
            way[self.rng.integers(rows), self.rng.integers(way.shape[1])] = self.rng.choice([np.nan, np.inf, -np.inf])
        elif roll < self.wild + 0.07:
            way = way[:, :-1]
        elif roll < self.wild + 0.09:
            way = way.astype(np.float64) * 1e38
        with np.errstate(over="ignore"):
            return way.astype(np.float32)

    def _measure(self) -> None:
        """The robot goes where it is commanded, more or less, unless it is stuck; and is not always read."""
        if self.rng.random() < 0.1:
            self.world.measure(None)
            return
        noise = self.rng.normal(0, 0.1, len(self.low)) * self.promises.step
        if self.rng.random() < 0.01:
            noise = noise + 3 * (self.high - self.low)
        self.world.measure((self.world.connector.state + noise).astype(np.float32))

    def _oversleeps_s(self) -> float:
        return self.period_s * float(
            self.rng.choice([0.0, 0.01, 0.3, 0.7, 3.0, 40.0], p=[0.6, 0.2, 0.1, 0.06, 0.03, 0.01])
        )

    def _somewhere(self) -> FloatArray:
        return self.rng.uniform(self.low, self.high).astype(np.float32)

    def _drawn_robot(self) -> Embodiment:
        name = str(self.rng.choice(["so101", "so101_percent", "ur5", "drawn"]))
        if name != "drawn":
            return load_embodiment(name)
        low = self.rng.uniform(-100, 0, 3)
        high = low + self.rng.uniform(1, 200, 3)
        step = self.rng.uniform(0.01, 0.2, 3) * (high - low)
        rungs = RUNGS[self.rng.integers(len(RUNGS))]
        rests = "return_to_rest" in rungs
        ladder = StopLadder(
            rungs=rungs, rest_pose=tuple((low + high) / 2) if rests else None,  # type: ignore[arg-type]
            rest_speed=tuple(step * 4.0) if rests else None, release_is_safe="release" in rungs,
        )  # fmt: skip
        return arm(
            low.tolist(), high.tolist(), step.tolist(), control_hz=float(self.rng.choice([5, 8, 30, 50])), ladder=ladder
        )
