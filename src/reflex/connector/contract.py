"""What stands between Reflex and a robot: five methods, and what they hand over.

    class MyArm:
        def start(self) -> None: ...
        def get_observation(self) -> Observation: ...
        def apply_action(self, chunk: ActionChunk) -> None: ...
        def safe_stop(self, reason: str = "") -> None: ...
        def stop(self) -> None: ...

Any class with them is a connector. docs/your-own-robot.md says what each one promises.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["ActionChunk", "CameraFrame", "Connector", "Observation"]

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class CameraFrame:
    """One picture, as pixels (uint8 of shape H x W x 3, RGB) or as the bytes of a JPEG or PNG file."""

    image: npt.NDArray[np.uint8] | bytes
    captured_s: float = field(default_factory=time.monotonic)
    """When it was taken, on the monotonic clock of this computer."""


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What the robot senses at one moment."""

    state: FloatArray
    """Measured joint positions, of shape [state_dim], in the units of the embodiment."""
    cameras: Mapping[str, CameraFrame] = field(default_factory=dict)
    """By the names that the policy has for them."""
    task: str | None = None
    """What the robot is to do now; None: what the run was started with."""
    captured_s: float = field(default_factory=time.monotonic)
    """When `state` was measured, on the monotonic clock of this computer."""


@dataclass(frozen=True, slots=True, eq=False)
class ActionChunk:
    """Commands to be executed one after the other. The control loop hands over one at a time, checked."""

    actions: FloatArray
    """Of shape [steps, action_dim], in the units of the embodiment."""
    step_s: float
    """Seconds from one action to the next."""


@runtime_checkable
class Connector(Protocol):
    """A robot. Every method may raise; what it says is told to the operator, and the robot is brought to a stop."""

    def start(self) -> None:
        """Open what is needed. Nothing may move, and no torque goes on, before the first `apply_action`."""
        ...

    def get_observation(self) -> Observation:
        """Measure. Called from one thread, beside `apply_action` from another."""
        ...

    def apply_action(self, chunk: ActionChunk) -> None:
        """Send the commands to the motors and return at once: whoever waits here holds the control loop up."""
        ...

    def safe_stop(self, reason: str = "") -> None:
        """Bring the robot to rest where it is, with what it has. May be called from any thread, and twice."""
        ...

    def stop(self) -> None:
        """Close what was opened, also after a `start` that failed. The robot keeps the state that it is in."""
        ...
