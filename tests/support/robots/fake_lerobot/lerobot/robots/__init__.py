"""Registered robots, and how one is made."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass
class RobotConfig:
    id: str | None = None
    known: ClassVar[dict[str, Any]] = {}

    @classmethod
    def get_choice_class(cls, name: str) -> Any:
        return cls.known[name]

    @classmethod
    def get_known_choices(cls) -> dict[str, Any]:
        return cls.known


def make_robot_from_config(config: Any) -> Any:
    return importlib.import_module("lerobot.robots.fake_follower").FakeFollower(config)
