"""A robot that stands where it is sent, and says what was done to it in a file."""

from __future__ import annotations

import array
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lerobot.robots import RobotConfig


@dataclass
class FakeFollowerConfig(RobotConfig):  # type: ignore[misc]  # no package of that name where types are checked
    journal: str = ""
    does: str = "well"
    disable_torque_on_disconnect: bool = True


RobotConfig.known["fake_follower"] = FakeFollowerConfig


class Pixels(array.array):  # type: ignore[type-arg]
    """As much of an array of numpy as is asked for."""

    shape = (2, 1, 3)


class FakeFollower:
    action_features: ClassVar[dict[str, Any]] = {"shoulder.pos": float, "wheel.vel": float}
    observation_features: ClassVar[dict[str, Any]] = {
        "shoulder.pos": float,
        "wheel.vel": float,
        "load": float,
        "front": (2, 1, 3),
        "far": (2, 1, 1),
    }

    def __init__(self, config: FakeFollowerConfig) -> None:
        self._config = config
        self._at = [5.0, 0.0]

    @property
    def is_calibrated(self) -> bool:
        return self._config.does != "uncalibrated"

    def connect(self, *, calibrate: bool = True) -> None:
        if self._config.does == "asks":
            input("press enter ")
        self._say("connect", calibrate)
        self._is_first = Path(self._config.journal).read_text().count('"connect"') == 1

    def get_observation(self) -> dict[str, Any]:
        if self._config.does == "hang":
            time.sleep(600)
        if self._config.does == "dies":
            sys.exit("no motors")
        if self._config.does == "hangs_first" and self._is_first:
            self._say("hang", None)
            time.sleep(600)
        if self._config.does == "dies_first" and self._is_first:
            os._exit(1)
        if self._config.does == "fails":
            raise ConnectionError("motor 3 does not answer")
        print("observing")
        return {
            "front": Pixels("B", range(6)),
            "far": None,
            "load": 0.5,
            "shoulder.pos": self._at[0],
            "wheel.vel": self._at[1],
        }

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        self._at = list(action.values())
        self._say("send", action)
        if self._config.does == "dies_moving" and self._is_first:
            os._exit(1)
        return action

    def disconnect(self) -> None:
        self._say("disconnect", self._config.disable_torque_on_disconnect)

    def _say(self, what: str, value: object) -> None:
        with Path(self._config.journal).open("a") as file:
            file.write(json.dumps([what, value]) + "\n")
