"""A robot of LeRobot without hardware. Two runs that are sent the same actions see the same, however long they take:
where it is sent is where it stands, and what its cameras see depends on how often they were asked.

Runs in LeRobot's own environment, whose plugin loader finds it by its name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lerobot.robots import Robot, RobotConfig

__all__ = ["JOINTS", "CountingArm", "CountingArmConfig", "picture"]

JOINTS = tuple(f"joint_{number}.pos" for number in range(6))


def picture(camera: int, count: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """What the camera of this number sees the count-th time."""
    return np.random.default_rng([camera, count]).integers(0, 256, (height, width, 3), np.uint8)


@RobotConfig.register_subclass("counting_arm")
@dataclass
class CountingArmConfig(RobotConfig):  # type: ignore[misc]  # LeRobot is not installed where types are checked
    views: str = "camera1:48x64,camera2:64x64"
    """Name and height x width of each camera."""
    log: str = "actions.jsonl"
    steps: int = 60
    """Then it interrupts the program, as Ctrl-C does."""


class CountingArm(Robot):  # type: ignore[misc]
    """Writes each action that it is sent as a line of JSON."""

    config_class = CountingArmConfig
    name = "counting_arm"

    def __init__(self, config: CountingArmConfig) -> None:
        super().__init__(config)
        self._config = config
        self._position = np.zeros(len(JOINTS))
        self._looked = 0
        self._sent = 0
        self._connected = False
        self._log = Path(config.log).open("w", encoding="utf-8")  # noqa: SIM115 - until the program ends

    @cached_property
    def views(self) -> dict[str, tuple[int, int]]:
        pairs = [view.split(":") for view in self._config.views.split(",")]
        return {name: (int(size.split("x")[0]), int(size.split("x")[1])) for name, size in pairs}

    @property
    def observation_features(self) -> dict[str, Any]:
        return dict.fromkeys(JOINTS, float) | {name: (*size, 3) for name, size in self.views.items()}

    @property
    def action_features(self) -> dict[str, Any]:
        return dict.fromkeys(JOINTS, float)

    @property
    def is_connected(self) -> bool:
        return self._connected

    @property
    def is_calibrated(self) -> bool:
        return True

    def connect(self, calibrate: bool = True) -> None:  # noqa: ARG002 - LeRobot's
        self._connected = True

    def calibrate(self) -> None:
        """Nothing to do."""

    def configure(self) -> None:
        """Nothing to do."""

    def get_observation(self) -> dict[str, Any]:
        self._looked += 1
        images = {name: picture(number, self._looked, *size) for number, (name, size) in enumerate(self.views.items())}
        return {name: float(value) for name, value in zip(JOINTS, self._position, strict=True)} | images

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        self._position = np.array([float(action[name]) for name in JOINTS])
        self._log.write(json.dumps(self._position.tolist()) + "\n")
        self._log.flush()
        self._sent += 1
        if self._sent == self._config.steps:
            raise KeyboardInterrupt
        return action

    def disconnect(self) -> None:
        self._connected = False
