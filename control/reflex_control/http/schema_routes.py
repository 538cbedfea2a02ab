"""Robot schemas over HTTP."""

from __future__ import annotations

from typing import Any, Final

from reflex.control import objects
from reflex_control.http.bodies import NewRobotSchema
from reflex_control.http.operation import Call, Operation
from reflex_control.http.registry_routes import READ, WRITE
from reflex_control.registry.finding import find, find_all
from reflex_control.registry.schemas import register_schema, schema_as_json
from reflex_control.store.tables import robot_schema

__all__ = ["SCHEMA_OPERATIONS"]


def _register_schema(call: Call) -> dict[str, Any]:
    new: NewRobotSchema = call.body
    return call.plane.create(
        call.who, call.repetition, lambda writing: register_schema(writing, new.name, new.schema_, new.robot_kind)
    )


def _list_schemas(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        rows = find_all(connection, robot_schema, call.who.organisation_id)
        return {"robotSchemas": [schema_as_json(row) for row in rows]}


def _get_schema(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        owner = call.who.organisation_id
        return schema_as_json(find(connection, robot_schema, owner, call.path["id"], what="robot schema"))


SCHEMA_OPERATIONS: Final = (
    Operation("POST", "/v1/robot-schemas", "Register what a robot is", WRITE, _register_schema,
              objects.RegisteredSchema, takes=NewRobotSchema, status=201),
    Operation("GET", "/v1/robot-schemas", "Every robot schema of the organisation", READ, _list_schemas,
              objects.RegisteredSchemas),
    Operation("GET", "/v1/robot-schemas/{id}", "One robot schema", READ, _get_schema, objects.RegisteredSchema),
)  # fmt: skip
