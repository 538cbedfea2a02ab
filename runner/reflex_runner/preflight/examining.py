"""`examine`: everything that `reflex connect --check` looks at, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reflex.connector import Connector
from reflex.errors import ReflexError
from reflex.readiness.checking import Check, failed, passed
from reflex_runner.config.sections import Mode, RobotConfig
from reflex_runner.preflight.machine_checks import camera, packages, recording
from reflex_runner.preflight.robot_facts import RobotFacts, facts_of
from reflex_runner.preflight.server_checks import Doctor, Look, server_checks, session_checks

__all__ = ["Makers", "examine"]

Makers = Mapping[str, Callable[[], Any]]
"""What makes each camera, by its name."""


def examine(
    config: RobotConfig,
    mode: Mode,
    *,
    build_robot: Callable[[], Connector],
    build_cameras: Makers,
    look: Look,
    doctor: Doctor | None,
) -> list[Check]:
    """The robot is made of its settings and not started; cameras must give a picture; server and session are asked."""
    there = packages(config)
    robot, facts = _robot(config, build_robot) if there.status == "pass" else (None, None)
    return [
        passed("config", f"{config.path} can be read; mode {mode}"),
        there,
        *([] if robot is None else [robot]),
        *(camera(name, build) for name, build in build_cameras.items()),
        recording(config),
        *server_checks(look, config, facts),
        *session_checks(doctor, config, mode),
    ]


def _robot(config: RobotConfig, build: Callable[[], Connector]) -> tuple[Check, RobotFacts | None]:
    kind = config.hardware.kind
    try:
        facts = facts_of(kind, build())
    except ReflexError as exc:
        return failed("hardware", str(exc), "correct hardware in robot.yaml"), None
    return passed("hardware", f"{kind}: its settings are right"), facts
