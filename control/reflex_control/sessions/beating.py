"""Heartbeats, safe stops and closings: what the robot's side says of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import case, func, select, update

from reflex.signed.moments import iso_of
from reflex_control.moments import SECOND_MS
from reflex_control.plane import Plane, Writing
from reflex_control.registry.finding import find
from reflex_control.sessions.life import (
    LIFE_MS,
    Session,
    changed,
    due,
    end,
    find_session,
    require_live,
    session_as_json,
    sweep,
    system_of,
)
from reflex_control.store.tables import receipt, robot, session

__all__ = ["beat", "close_session", "note_safe_stop", "sweep_all"]

COUNTS: Final = ("steps", "applied_steps", "safe_stops", "guard_violations", "refused_chunks")
SAFE_STOP: Final = "safe_stop"
OTHER_CALIBRATION: Final = "the robot runs with another calibration than it was promoted with"


def beat(writing: Writing, robot_id: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """Note that a robot is there, and renew its session. The answer's mode is the strictest that holds."""
    writing.actor.require_robot(robot_id, "sessions")
    owner = writing.actor.organisation_id
    find(writing.connection, robot, owner, robot_id, what="robot")
    writing.connection.execute(
        update(robot)
        .where(robot.c.id == robot_id)
        .values(
            heartbeat_at=writing.now_ms, heartbeat={key: value for key, value in report.items() if value is not None}
        )
    )
    sweep(writing)
    found = _renewed(writing, robot_id, report) if report.get("session_id") else None
    is_live = found is not None and found.is_live
    credential, expires_at = found.credential(writing) if found is not None and is_live else (None, None)
    return {
        "robotId": robot_id,
        "receivedAt": iso_of(writing.now_ms),
        "serverTime": iso_of(writing.now_ms),
        "session": None if found is None else session_as_json(found),
        "mode": found.row.mode if found is not None and is_live else "dry_run",
        "credential": credential,
        "credentialExpiresAt": None if expires_at is None else iso_of(expires_at),
    }


def note_safe_stop(writing: Writing, session_id: str, reason: str) -> Session:
    """The robot was brought to its safe state: counted, and on the record.

    Heartbeats count the same stops. So the larger of both is how many there were.
    """
    found = _of_actor(writing, session_id)
    require_live(found)
    on_record = select(func.count()).where(receipt.c.session_id == session_id, receipt.c.kind == SAFE_STOP)
    count = int(writing.connection.scalar(on_record) or 0) + 1
    writing.connection.execute(
        update(session).where(session.c.id == session_id).values(safe_stops=_larger("safe_stops", count))
    )
    stopped = changed(writing, found)
    writing.receipt(SAFE_STOP, stopped.facts(reason))
    return stopped


def close_session(writing: Writing, session_id: str, reason: str) -> Session:
    """End it; one that has ended stays as it is, so closing twice is no error."""
    sweep(writing)
    found = _of_actor(writing, session_id)
    return end(writing, found, "closed", reason, "session_closed") if found.is_live else found


def sweep_all(plane: Plane) -> None:
    """End every session whose time is over, in all organisations; called once a second."""
    with plane.reading() as connection:
        owners = {organisation_id for organisation_id, _ in due(connection, plane.clock(), plane.deaf_until())}
    for organisation_id in owners:
        with plane.writing(system_of(organisation_id)) as writing:
            sweep(writing)


def _of_actor(writing: Writing, session_id: str) -> Session:
    found = find_session(writing.connection, writing.actor.organisation_id, session_id)
    writing.actor.require_robot(found.row.robot_id, "sessions")
    return found


def _renewed(writing: Writing, robot_id: str, report: Mapping[str, Any]) -> Session | None:
    found = find_session(writing.connection, writing.actor.organisation_id, report["session_id"])
    if found.row.robot_id != robot_id or not found.is_live:
        return found if found.row.robot_id == robot_id else None
    counts = {name: _larger(name, report[name]) for name in COUNTS if report.get(name) is not None}
    row = writing.connection.execute(
        update(session)
        .where(session.c.id == found.row.id)
        .values(
            heartbeat_at=writing.now_ms, expires_at=min(writing.now_ms + LIFE_MS, found.row.ends_by),
            calibration_id=report.get("calibration_id") or found.row.calibration_id, **counts,
        )
        .returning(session)
    )  # fmt: skip
    renewed = replace(found, row=row.one())
    if (found.row.heartbeat_at or 0) // SECOND_MS != writing.now_ms // SECOND_MS:  # events are kept for a day
        writing.tell("heartbeat", _heard(renewed, report, writing.now_ms))
    if _is_calibrated_otherwise(found, report):
        return end(writing, renewed, "closed", OTHER_CALIBRATION, "session_closed")
    return renewed


def _is_calibrated_otherwise(found: Session, report: Mapping[str, Any]) -> bool:
    """Whether a robot that moves says that its calibration is not the one that it was promoted with."""
    said, promoted_with = report.get("calibration_id"), found.robot.calibration_id or found.row.calibration_id
    return found.row.mode == "apply_actions" and None not in (said, promoted_with) and said != promoted_with


def _heard(renewed: Session, report: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """A heartbeat of a live session, for whoever watches it: the counts so far, and the latency of this one."""
    row = renewed.row
    return {
        "sessionId": row.id,
        "robotId": row.robot_id,
        "at": iso_of(now_ms),
        "mode": row.mode,
        "steps": row.steps,
        "appliedSteps": row.applied_steps,
        "safeStops": row.safe_stops,
        "guardViolations": row.guard_violations,
        "refusedChunks": row.refused_chunks,
        "latencyMs": report.get("latency_ms"),
    }


def _larger(name: str, count: int) -> Any:  # noqa: ANN401 - an expression of SQL
    """Counts never go back: a heartbeat that was overtaken on its way takes nothing away."""
    column = session.c[name]
    return case((column < count, count), else_=column)
