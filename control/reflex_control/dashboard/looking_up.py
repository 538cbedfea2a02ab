"""What the pages read more than once: things by their id, as the API tells of them."""

from __future__ import annotations

from typing import Any

from reflex_control.dashboard.readiness import readiness
from reflex_control.dashboard.visit import Visit

__all__ = ["deployments_of", "models_by_id", "names_of", "robot_of", "robots_of", "schemas_by_id"]

Thing = dict[str, Any]


def deployments_of(visit: Visit) -> list[Thing]:
    """Each with its `readiness`."""
    found = visit.ask("GET", "/v1/deployments")["deployments"]
    return [{**each, "readiness": readiness(each, visit.plane.clock())} for each in found]


def robots_of(visit: Visit) -> list[Thing]:
    """Each with its `state`."""
    return [_with_state(each) for each in visit.ask("GET", "/v1/robots")["robots"]]


def robot_of(visit: Visit, robot_id: str) -> Thing:
    """With its `state`; `ServiceError` 404 when there is none."""
    return _with_state(visit.ask("GET", "/v1/robots/{id}", id=robot_id))


def models_by_id(visit: Visit) -> dict[str, Thing]:
    return {each["id"]: each for each in visit.ask("GET", "/v1/models")["models"]}


def schemas_by_id(visit: Visit) -> dict[str, Thing]:
    return {each["id"]: each for each in visit.ask("GET", "/v1/robot-schemas")["robotSchemas"]}


def names_of(things: list[Thing]) -> dict[str, str]:
    return {each["id"]: each["name"] for each in things}


def _with_state(robot: Thing) -> Thing:
    state = "revoked" if robot["revokedAt"] is not None else "online" if robot["online"] else "offline"
    return {**robot, "state": state}
