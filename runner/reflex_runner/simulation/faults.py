"""What can be wrong with the simulated arm, on purpose: to see what a run does about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from reflex.connector import CameraFrame
from reflex_runner.simulation.world import World

__all__ = ["FaultInjector", "Faults", "Measured"]

FloatArray = npt.NDArray[np.float32]
Measured = tuple[Any, float]
"""A state, and when it was measured."""


@dataclass(frozen=True, slots=True)
class Faults:
    """The settings under `faults`; without any the arm works."""

    frozen_camera: Literal["front", "wrist"] | None = None
    """Its picture is no longer renewed."""
    dropped_readings: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the readings of the joints that bring nothing new; with 1 none does."""
    jammed_axis: (
        Literal["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"] | None
    ) = None
    """This joint stands where it is."""
    delay_ms: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """From a command to the servo that hears it."""
    tremble_units: Annotated[float, Field(ge=0, le=10)] = 0.0
    """How far about what the servos hear strays from the command: each episode's strength is drawn up to this."""
    after_s: Annotated[float, Field(ge=0)] = 0.0
    """For so long after the start everything works."""


class FaultInjector:
    """Stands between the world and whoever measures it; the same seed drops the same readings."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults = faults
        self.begin(seed)

    def begin(self, seed: int) -> None:
        """The episode of that seed begins: nothing was seen or measured in it yet."""
        self._random = np.random.default_rng(seed)
        self._trembling = np.random.default_rng([seed, 1])
        self._strength = self._trembling.uniform(0.0, self._faults.tremble_units)
        self._seen: dict[str, CameraFrame] = {}
        self._measured: Measured | None = None

    def act_on(self, world: World) -> None:
        """What happens to the arm itself; again and again."""
        if not self._is_due(world):
            return
        world.delay_s = self._faults.delay_ms / 1000
        if self._faults.jammed_axis is not None:
            world.jam(self._faults.jammed_axis)

    def heard(self, action: FloatArray, world: World) -> FloatArray:
        """What the servos hear of a command, which is recorded as it was given."""
        if not (self._strength and self._is_due(world)):
            return action
        return action + self._trembling.normal(0.0, self._strength, action.shape).astype(np.float32)

    def reading(self, measured: Measured, world: World) -> Measured:
        """The state that the bus gives for the measured one, with its moment."""
        dropped = self._is_due(world) and self._random.random() < self._faults.dropped_readings
        if self._measured is None or not dropped:
            self._measured = measured
        return self._measured

    def pictures(self, frames: Mapping[str, CameraFrame], world: World) -> Mapping[str, CameraFrame]:
        """The pictures that the cameras give for those that were drawn."""
        frozen = self._faults.frozen_camera if self._is_due(world) else None
        self._seen |= {name: frame for name, frame in frames.items() if name != frozen or name not in self._seen}
        return dict(self._seen)

    def _is_due(self, world: World) -> bool:
        return world.time_s >= self._faults.after_s
