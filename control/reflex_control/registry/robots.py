"""Robots: the machines, each of a schema."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from reflex.signed.moments import iso_of
from reflex_control.identity.ids import new_id
from reflex_control.moments import SECOND_MS, iso_or_none
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.finding import add, find, find_all, find_named
from reflex_control.store.tables import api_key, robot, robot_schema, session

__all__ = ["HEARTBEAT_LOST_MS", "register_robot", "revoke_robot", "robot_as_json", "robots_as_json"]

HEARTBEAT_LOST_MS: Final = 30 * SECOND_MS
"""A robot that was silent for so long is offline, and loses its session."""


def register_robot(
    writing: Writing, name: str, schema_id: str, robot_kind: str | None, calibration_id: str | None
) -> dict[str, Any]:
    """One machine."""
    owner = writing.actor.organisation_id
    schema = find_named(writing.connection, robot_schema, owner, schema_id, field="robotSchemaId")
    row: dict[str, Any] = {
        "id": new_id("robot"), "organisation_id": owner, "name": name, "robot_schema_id": schema_id,
        "robot_kind": robot_kind or schema.robot_kind, "calibration_id": calibration_id,
        "created_at": writing.now_ms,
    }  # fmt: skip
    add(writing.connection, robot, row, what="robot")
    writing.receipt(
        "robot_registered",
        Facts(robot_id=row["id"], calibration_id=calibration_id, limits_hash=schema.limits_hash, reason=name),
    )
    return robot_as_json(
        writing.connection, find(writing.connection, robot, owner, row["id"], what="robot"), writing.now_ms
    )


def revoke_robot(writing: Writing, robot_id: str, reason: str | None) -> Row[Any]:
    """From now on it drives nothing, and its keys are revoked."""
    owner = writing.actor.organisation_id
    found = find(writing.connection, robot, owner, robot_id, what="robot")
    if found.revoked_at is None:
        writing.connection.execute(update(robot).where(robot.c.id == robot_id).values(revoked_at=writing.now_ms))
        its_keys = update(api_key).where(api_key.c.robot_id == robot_id, api_key.c.revoked_at.is_(None))
        writing.connection.execute(its_keys.values(revoked_at=writing.now_ms))
        writing.receipt("robot_revoked", Facts(robot_id=robot_id, reason=reason))
    return find(writing.connection, robot, owner, robot_id, what="robot")


def robot_as_json(connection: Connection, row: Row[Any], now_ms: int) -> dict[str, Any]:
    lease = connection.scalar(select(session.c.id).where(session.c.robot_id == row.id, session.c.ended_at.is_(None)))
    return _as_json(row, lease, now_ms)


def robots_as_json(connection: Connection, organisation_id: str, now_ms: int) -> list[dict[str, Any]]:
    """All of them, oldest first; who drives them is read at once."""
    live = select(session.c.robot_id, session.c.id).where(
        session.c.organisation_id == organisation_id, session.c.ended_at.is_(None)
    )
    leases = {row.robot_id: row.id for row in connection.execute(live)}
    return [_as_json(row, leases.get(row.id), now_ms) for row in find_all(connection, robot, organisation_id)]


def _as_json(row: Row[Any], lease: str | None, now_ms: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "robotSchemaId": row.robot_schema_id,
        "robotKind": row.robot_kind,
        "calibrationId": row.calibration_id,
        "paired": row.paired_at is not None,
        "online": row.heartbeat_at is not None and now_ms - row.heartbeat_at < HEARTBEAT_LOST_MS,
        "lastHeartbeatAt": iso_or_none(row.heartbeat_at),
        "createdAt": iso_of(row.created_at),
        "revokedAt": iso_or_none(row.revoked_at),
        "sessionId": lease,
    }
