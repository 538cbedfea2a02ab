"""Robot schemas: what robots are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from reflex.errors import SetupError, service_error
from reflex.robot_schema import parse_robot_schema
from reflex.signed.moments import iso_of
from reflex_control.identity.ids import new_id
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.finding import add, find
from reflex_control.store.tables import robot_schema

__all__ = ["register_schema", "schema_as_json"]


def register_schema(writing: Writing, name: str, schema: Mapping[str, Any], robot_kind: str | None) -> dict[str, Any]:
    """What robots of this schema are; `ServiceError` 422 says what is wrong in it."""
    try:
        parsed = parse_robot_schema(schema, name)
    except SetupError as exc:
        raise service_error("invalid_value", str(exc), context={"field": "schema"}) from exc
    row: dict[str, Any] = {
        "id": new_id("schema"), "organisation_id": writing.actor.organisation_id, "name": name,
        "robot_kind": robot_kind, "schema": dict(schema), "limits_hash": parsed.limits_hash,
        "simulation": parsed.simulation, "created_at": writing.now_ms,
    }  # fmt: skip
    add(writing.connection, robot_schema, row, what="robot schema")
    writing.receipt("schema_registered", Facts(limits_hash=parsed.limits_hash, reason=name))
    return schema_as_json(find(writing.connection, robot_schema, row["organisation_id"], row["id"], what="schema"))


def schema_as_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "robotKind": row.robot_kind,
        "schema": row.schema,
        "limitsHash": row.limits_hash,
        "simulation": row.simulation,
        "createdAt": iso_of(row.created_at),
    }
