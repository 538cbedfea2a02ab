"""The limits of the robot's schema, as the control plane has it: a session holds its robot to them as well."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from reflex.embodiments import Embodiment, StopLadder
from reflex.errors import ServiceError
from reflex.robot_schema import RobotSchema, parse_robot_schema

__all__ = ["schema_of"]

FORBIDDEN = 403

logger = logging.getLogger(__name__)


class Registry(Protocol):
    """What is asked of `reflex.control.ControlClient`."""

    def get_deployment(self, deployment_id: str) -> Mapping[str, Any]: ...
    def list_robot_schemas(self) -> Mapping[str, Any]: ...


def schema_of(plane: Registry, deployment_id: str) -> Embodiment | None:
    """With its times as the stop ladder's: how it is stopped beyond a hold, the robot's own embodiment says.

    None for a deployment without a schema, and for a key that may not read it, as a robot's own.

    Such a robot is held to the served policy's limits, which the deployment's doctor holds against the schema.
    """
    try:
        schema_id = plane.get_deployment(deployment_id)["robotSchemaId"]
        schemas = {each["id"]: each["schema"] for each in plane.list_robot_schemas()["robotSchemas"]}
    except ServiceError as exc:
        if exc.status != FORBIDDEN:
            raise
        logger.info("the limits of the robot's schema are not read: %s", exc)
        return None
    found = schemas.get(schema_id)
    return None if found is None else _with_stop_times(parse_robot_schema(found, str(schema_id)))


def _with_stop_times(schema: RobotSchema) -> Embodiment:
    times = schema.safe_stop
    ladder = StopLadder(rungs=("hold",), hold_after_ms=times.hold_after_ms, stop_after_ms=times.stop_after_ms)
    return replace(schema.embodiment, stop_ladder=ladder)
