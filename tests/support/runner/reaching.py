"""An environment without physics: an arm that is where it was commanded, and has to reach a pose that the seed says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from reflex.connector import ActionChunk, CameraFrame, Observation
from reflex.embodiments import Embodiment, StopLadder, load_embodiment
from reflex_runner.tick import DatedChunk

__all__ = ["REACHING", "Reaching", "ReachingExpert"]

REACHING: Final[Embodiment] = replace(
    load_embodiment("so101_sim"), name="reaching", stop_ladder=StopLadder(rungs=("hold",))
)
NEAR_DEG: Final = 0.5


class Reaching:
    """Resettable and stepped. Seeds of which 7 is a divisor lie where no arm reaches."""

    embodiment = REACHING
    camera_names = ("front",)
    is_simulation = True
    is_stepped = True

    def __init__(self, *, instructed: bool = False, is_mad: bool = False) -> None:
        self.seeds: list[int] = []
        self.told: list[str] = []
        self.instructed = instructed
        self.is_mad = is_mad
        """Its expert leads out of the range."""
        self.fault: Callable[[int], None] = lambda _seq: None
        self._begin(0)

    @property
    def succeeded(self) -> bool:
        return bool(np.abs(self.state[:5] - self.goal[:5]).max() < NEAR_DEG)

    @property
    def instruction(self) -> str | None:
        return f"reach {self.seeds[-1]}" if self.instructed and self.seeds else None

    def reset(self, seed: int) -> None:
        self.seeds.append(seed)
        self._begin(seed)

    def start(self) -> None:
        self.told.append("start")

    def get_observation(self) -> Observation:
        return Observation(self.state, {"front": CameraFrame(np.full((16, 16, 3), len(self.seeds), np.uint8))})

    def apply_action(self, chunk: ActionChunk) -> None:
        self.state = np.asarray(chunk.actions[-1], np.float32)

    def safe_stop(self, reason: str = "") -> None:
        self.told.append(f"safe_stop {reason.partition(':')[0]}")

    def stop(self) -> None:
        self.told.append("stop")

    def expert(self) -> ReachingExpert:
        return ReachingExpert(self)

    def _begin(self, seed: int) -> None:
        self.state = np.asarray(REACHING.mean_state, np.float32)
        away = 1000.0 if seed % 7 == 0 and seed else 5.0 + seed
        self.goal = self.state + np.array([away, 0, 0, 0, 0, 0], np.float32)


class ReachingExpert:
    """A transport that leads to the goal, or as far as the arm may go."""

    control_hz = 30.0

    def __init__(self, arm: Reaching) -> None:
        self._arm = arm
        self.asked: list[tuple[Observation, int | None]] = []

    def open(self) -> None:
        self._arm.told.append("open")

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        self.asked.append((observation, executed_steps))
        self._arm.fault(seq)
        goal: Any = self._arm.goal
        if not self._arm.is_mad:
            goal = np.clip(goal, REACHING.action_low, REACHING.action_high)
        return DatedChunk(seq, observation.captured_s, 0.0, np.tile(goal, (16, 1)).astype(np.float32), 1 / 30)

    def close(self) -> None:
        self._arm.told.append("close")
