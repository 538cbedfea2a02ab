"""What a session is: its row with what it refers to, its credential, its end.

authorize ──▶ dry_run ──promote──▶ apply_actions
                 │                      │
                 └──────▶ closed | expired: a session never returns to life
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

from sqlalchemy import Connection, Row, Select, Table, bindparam, func, select, update

from reflex.errors import ServiceError, service_error
from reflex.signed.moments import iso_of
from reflex.signed.session_credential import Claims, Mode, issue
from reflex_control.identity.actor import Actor
from reflex_control.moments import MINUTE_MS, SECOND_MS, iso_or_none
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.finding import find, find_named
from reflex_control.registry.models import model_version
from reflex_control.registry.robots import HEARTBEAT_LOST_MS
from reflex_control.store.tables import deployment, model, robot, robot_schema, session

__all__ = [
    "CREDENTIAL_MS",
    "HEARTBEAT_EVERY_S",
    "LIFE_MS",
    "Session",
    "changed",
    "due",
    "end",
    "end_those_of",
    "ended_sessions",
    "find_session",
    "gone",
    "live_sessions",
    "require_live",
    "session_as_json",
    "sessions_of",
    "sweep",
    "system_of",
]  # fmt: skip

LIFE_MS: Final = 30 * MINUTE_MS
"""Renewed by every heartbeat."""
CREDENTIAL_MS: Final = 120 * SECOND_MS
"""A frontend that hears nothing of the control plane lets a closed session drive no longer than this."""
HEARTBEAT_EVERY_S: Final = 10
MOST_NAMED: Final = 500
GONE: Final = "Session expired or already closed; start a fresh one: reflex sessions authorize"

NEVER_MS: Final = -1

Ended = Literal["closed", "expired"]

_DUE: Final = select(session.c.organisation_id, session.c.id).where(
    session.c.ended_at.is_(None),
    (session.c.expires_at <= bindparam("now"))
    | (session.c.ends_by <= bindparam("now"))
    | (func.coalesce(session.c.heartbeat_at, session.c.promoted_at) <= bindparam("lost_before")),
)
"""Made once, for it is asked with every write."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session, with its deployment, model, robot and the robot's schema."""

    row: Row[Any]
    deployment: Row[Any]
    model: Row[Any]
    robot: Row[Any]
    schema: Row[Any]

    @property
    def is_live(self) -> bool:
        return self.row.ended_at is None

    def facts(self, reason: str | None = None) -> Facts:
        """As a receipt says them."""
        row = self.row
        return Facts(
            deployment_id=row.deployment_id, session_id=row.id, robot_id=row.robot_id,
            model_version=model_version(self.model), calibration_id=row.calibration_id,
            limits_hash=self.schema.limits_hash, mode=row.mode, steps=row.steps, applied_steps=row.applied_steps,
            safe_stops=row.safe_stops, guard_violations=row.guard_violations, reason=reason,
        )  # fmt: skip

    def credential(self, writing: Writing) -> tuple[str, int]:
        """A new one for this moment, and when it expires: soon, and never after the session itself."""
        expires_at = min(writing.now_ms + CREDENTIAL_MS, self.row.expires_at)
        claims = Claims(
            session_id=self.row.id, organisation_id=self.row.organisation_id, robot_id=self.row.robot_id,
            deployment_id=self.row.deployment_id, model_hash=self.model.content_hash,
            model_version=model_version(self.model), mode=cast("Mode", self.row.mode),
            calibration_id=self.row.calibration_id, limits_hash=self.schema.limits_hash,
            issued_at_ms=writing.now_ms, expires_at_ms=expires_at,
        )  # fmt: skip
        return issue(claims, writing.key), expires_at


def find_session(connection: Connection, organisation_id: str, session_id: str) -> Session:
    """`ServiceError` 404 when the organisation has none of this id."""
    row = find(connection, session, organisation_id, session_id, what="session")
    deployed = find(connection, deployment, organisation_id, row.deployment_id, what="deployment")
    machine = find(connection, robot, organisation_id, row.robot_id, what="robot")
    return Session(
        row,
        deployed,
        find(connection, model, organisation_id, deployed.model_id, what="model"),
        machine,
        find(connection, robot_schema, organisation_id, machine.robot_schema_id, what="robot schema"),
    )


def sessions_of(
    connection: Connection, organisation_id: str, status: str | None, *, after: str | None = None,
    limit: int | None = None,
) -> list[Session]:  # fmt: skip
    """All of them, oldest first, or those of one status; `after` is the id of the one before them."""
    wanted = select(session.c.id).where(session.c.organisation_id == organisation_id)
    if status is not None:
        wanted = wanted.where(session.c.status == status)
    if after is not None:
        last = find_named(connection, session, organisation_id, after, field="after")
        is_later = (session.c.created_at == last.created_at) & (session.c.id > last.id)
        wanted = wanted.where((session.c.created_at > last.created_at) | is_later)
    return _found(connection, organisation_id, wanted.order_by(session.c.created_at, session.c.id).limit(limit))


def live_sessions(connection: Connection, organisation_id: str) -> list[Session]:
    """Those that have not ended, oldest first."""
    wanted = select(session.c.id).where(session.c.organisation_id == organisation_id, session.c.ended_at.is_(None))
    return _found(connection, organisation_id, wanted.order_by(session.c.created_at, session.c.id))


def ended_sessions(connection: Connection, organisation_id: str, limit: int) -> list[Session]:
    """The ones that ended last, the last one first."""
    wanted = select(session.c.id).where(session.c.organisation_id == organisation_id, session.c.ended_at.is_not(None))
    return _found(connection, organisation_id, wanted.order_by(session.c.ended_at.desc(), session.c.id).limit(limit))


def _found(connection: Connection, organisation_id: str, wanted: Select[Any]) -> list[Session]:
    """Of the ids that are wanted, in their order; what many refer to is read once."""
    rows = connection.execute(select(session).where(session.c.id.in_(wanted))).all()
    by_id = {row.id: row for row in rows}
    deployments = _by_id(connection, deployment, organisation_id, {row.deployment_id for row in rows})
    models = _by_id(connection, model, organisation_id, {row.model_id for row in deployments.values()})
    robots = _by_id(connection, robot, organisation_id, {row.robot_id for row in rows})
    schemas = _by_id(connection, robot_schema, organisation_id, {row.robot_schema_id for row in robots.values()})
    return [
        Session(row, deployed := deployments[row.deployment_id], models[deployed.model_id],
                machine := robots[row.robot_id], schemas[machine.robot_schema_id])
        for row in (by_id[identity] for identity in connection.scalars(wanted))
    ]  # fmt: skip


def _by_id(connection: Connection, table: Table, organisation_id: str, wanted: set[str]) -> dict[str, Row[Any]]:
    """The organisation's where many are wanted: a statement takes a limited number of parameters."""
    mine = select(table).where(table.c.organisation_id == organisation_id)
    few = mine.where(table.c.id.in_(wanted)) if len(wanted) <= MOST_NAMED else mine
    return {row.id: row for row in connection.execute(few)}


def require_live(found: Session) -> None:
    """`ServiceError` 410 for one that has ended."""
    if not found.is_live:
        raise gone(found)


def gone(found: Session) -> ServiceError:
    return service_error("session_ended", GONE, context={"sessionId": found.row.id, "status": found.row.status})


def end(writing: Writing, found: Session, status: Ended, reason: str, kind: str) -> Session:
    """End it, with its receipts: how it ended, and what the guard refused of it where there was such a thing."""
    writing.connection.execute(
        update(session)
        .where(session.c.id == found.row.id)
        .values(ended_at=writing.now_ms, status=status, reason=reason)
    )
    writing.receipt(kind, found.facts(reason))
    if found.row.guard_violations or found.row.refused_chunks:
        summary = f"guard violations {found.row.guard_violations}, chunks refused {found.row.refused_chunks}"
        writing.receipt("guard_summary", found.facts(summary))
    return changed(writing, found)


def changed(writing: Writing, found: Session) -> Session:
    """The session as it is now, which those who listen are told."""
    row = find(writing.connection, session, found.row.organisation_id, found.row.id, what="session")
    now = replace(found, row=row)
    told = {
        "sessionId": now.row.id,
        "robotId": now.row.robot_id,
        "status": now.row.status,
        "mode": now.row.mode,
        "reason": now.row.reason,
    }
    writing.tell("session", told)
    return now


def due(connection: Connection, now_ms: int, deaf_until_ms: int = 0) -> list[tuple[str, str]]:
    """Organisation and id of each live session whose time is over.

    One that was promoted must beat from then on: a robot that moves is heard of, or stops. After a time in which nobody
    could be heard, each has as long as ever to be heard again; without heartbeats its credential ends by itself.
    """
    lost_before_ms = now_ms - HEARTBEAT_LOST_MS
    moments = {"now": now_ms, "lost_before": lost_before_ms if deaf_until_ms <= lost_before_ms else NEVER_MS}
    found = connection.execute(_DUE, moments)
    return [(row.organisation_id, row.id) for row in found]


def sweep(writing: Writing) -> None:
    """End what is over in the actor's organisation; every change of sessions begins with it, and a thread does it."""
    for organisation_id, session_id in due(writing.connection, writing.now_ms, writing.deaf_until_ms):
        if organisation_id == writing.actor.organisation_id:
            found = find_session(writing.connection, organisation_id, session_id)
            end(writing, found, "expired", _why_over(found.row, writing.now_ms), "session_expired")


def end_those_of(writing: Writing, reason: str, **columns: str) -> None:
    """End every live session of a key, a robot or a deployment that was taken back."""
    wanted = select(session.c.id).where(
        session.c.organisation_id == writing.actor.organisation_id, session.c.ended_at.is_(None),
        *(session.c[name] == value for name, value in columns.items()),
    )  # fmt: skip
    for session_id in writing.connection.scalars(wanted).all():
        found = find_session(writing.connection, writing.actor.organisation_id, session_id)
        end(writing, found, "closed", reason, "session_closed")


def system_of(organisation_id: str) -> Actor:
    """Who does what nobody asked for."""
    return Actor("", "control plane", organisation_id, frozenset())


def session_as_json(found: Session) -> dict[str, Any]:
    row = found.row
    return {
        "id": row.id,
        "deploymentId": row.deployment_id,
        "robotId": row.robot_id,
        "mode": row.mode,
        "status": row.status,
        "clientSessionId": row.client_session_id,
        "createdAt": iso_of(row.created_at),
        "promotedAt": iso_or_none(row.promoted_at),
        "expiresAt": iso_of(row.expires_at),
        "lastHeartbeatAt": iso_or_none(row.heartbeat_at),
        "endedAt": iso_or_none(row.ended_at),
        "reason": row.reason,
        "steps": row.steps,
        "appliedSteps": row.applied_steps,
        "safeStops": row.safe_stops,
        "guardViolations": row.guard_violations,
        "modelVersion": model_version(found.model),
    }


def _why_over(row: Row[Any], now_ms: int) -> str:
    if row.ends_by <= now_ms:
        return "its longest time is over"
    if row.expires_at <= now_ms:
        return "not renewed in time"
    return "heartbeats were lost"
