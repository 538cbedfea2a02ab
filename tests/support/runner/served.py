"""What a server of the demo policy says of itself, and robots to hold it against."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

import httpx

from docs.documents import REPOSITORY
from reflex.client import MockTransport
from reflex_runner.config.sections import CameraConfig, HardwareConfig, RobotConfig, SessionConfig, TargetConfig
from reflex_runner.preflight.robot_facts import RobotFacts
from reflex_runner.preflight.served import Served, look_at

__all__ = ["ARM", "config_of", "network", "robot_yaml", "served"]

ARM: Final = RobotFacts("arms:Franka", is_simulated=False, embodiment="franka", cameras=())


def config_of(embodiment: str = "franka", **fields: Any) -> dict[str, Any]:
    """The demo policy's `/config`, with other fields where some are given."""
    told = json.loads((REPOSITORY / "model_repository/demo/reflex_config.json").read_text(encoding="utf-8"))
    details = json.loads((REPOSITORY / f"src/reflex/embodiments/{embodiment}.json").read_text(encoding="utf-8"))
    return {**told, "embodiment": embodiment, "embodiment_details": details, **fields}


def network(config: Any, health: Any = None) -> MockTransport:
    """A server that says so."""

    def answer(request: httpx.Request) -> Any:
        return config if request.url.path == "/config" else health or {"status": "ready"}

    return MockTransport(answer)


def served(embodiment: str = "franka", **fields: Any) -> Served:
    """As `look_at` sees it."""
    found = look_at(TargetConfig(), None, network(config_of(embodiment, **fields)))
    assert found is not None
    return found


def robot_yaml(*cameras: str, kind: str = "arms:Franka", **session: Any) -> RobotConfig:
    """With cameras of these names."""
    return RobotConfig(
        hardware=HardwareConfig(kind),
        session=replace(SessionConfig(instruction="pick"), **session),
        cameras={name: CameraConfig("opencv") for name in cameras},
    )
