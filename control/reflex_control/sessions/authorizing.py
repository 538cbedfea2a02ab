"""Authorizing: who may drive which robot with which deployment, one driver at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, insert, select

from reflex.errors import ServiceError, service_error
from reflex.signed.moments import iso_of
from reflex_control.identity.ids import new_id
from reflex_control.moments import DAY_MS, SECOND_MS
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.finding import find, find_named
from reflex_control.registry.models import model_version
from reflex_control.sessions.choosing import chosen_deployment
from reflex_control.sessions.life import HEARTBEAT_EVERY_S, LIFE_MS, Session, changed, end, find_session, gone, sweep
from reflex_control.sessions.promoting import promote, require_ready
from reflex_control.store.tables import api_key, model, robot, session

__all__ = ["LONGEST_MS", "Wish", "authorize"]

LONGEST_MS: Final = DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to drive, with what, and how."""

    robot_id: str | None
    deployment_id: str | None = None
    artifact_id: str | None = None
    """A model; its one deployment is meant."""
    base_model: str | None = None
    """A name or a family of models, where neither is given; their one deployment is meant."""
    act_urls: tuple[str, ...] = ()
    """Other frontends than the deployment's, which its doctor has not seen."""
    mode: str = "dry_run"
    client_session_id: str | None = None
    max_seconds: int | None = None
    take_over_reason: str | None = None
    take_over_from: str | None = None
    """The session that is meant: another one that holds the robot by now is left alone."""


def authorize(writing: Writing, wish: Wish) -> dict[str, Any]:
    """A grant: the session and its credential.

    `ServiceError` 409 robot_busy names who holds the robot; 410 when the client_session_id is that of a session that
    has ended, 403 session_mode when that one is in dry_run and another mode was asked for. In another mode than dry_run
    it is promoted at once, under the rules of promotion.
    """
    sweep(writing)
    robot_id = wish.robot_id or writing.actor.robot_id
    if robot_id is None:
        raise service_error(
            "invalid_value", "robotId is needed: a session drives one robot", context={"field": "robotId"}
        )
    writing.actor.require_robot(robot_id, "sessions")
    if wish.mode != "dry_run":
        writing.actor.require("promote")
    known = _same_as_before(writing, wish)
    if known is not None:
        return grant(writing, known, wish.act_urls)
    deployed = chosen_deployment(writing, wish.deployment_id, wish.artifact_id, wish.base_model)
    policy = _model(writing, deployed)
    machine = _robot(writing, robot_id, deployed)
    if wish.mode != "dry_run":  # before anything is made or taken over: a refusal leaves everything as it was
        require_ready(writing, deployed, policy, machine, _wished(policy, machine, deployed))
    _take_lease(writing, machine, wish)
    made = _make(writing, wish, deployed, machine)
    if wish.mode != "dry_run":
        made = promote(writing, made)
    return grant(writing, made, wish.act_urls)


def grant(writing: Writing, found: Session, act_urls: Sequence[str] = ()) -> dict[str, Any]:
    """What the driver needs; a credential is new each time."""
    own = (found.deployment.runtime or {}).get("actUrl")
    _require_seen(found.deployment, own or (), act_urls)
    credential, expires_at = found.credential(writing)
    urls = list(act_urls) or own
    return {
        "sessionId": found.row.id,
        "credential": credential,
        "credentialExpiresAt": iso_of(expires_at),
        "expiresAt": iso_of(found.row.expires_at),
        "actUrl": urls[0] if urls and len(urls) == 1 else urls,
        "mode": found.row.mode,
        "deploymentId": found.row.deployment_id,
        "robotId": found.row.robot_id,
        "modelVersion": model_version(found.model),
        "heartbeatSeconds": HEARTBEAT_EVERY_S,
    }


def _require_seen(deployed: Row[Any], own: Sequence[str], act_urls: Sequence[str]) -> None:
    """A robot that a deployment may move is driven by the frontends that its doctor looks at, from its dry run on."""
    if own and deployed.mode != "dry_run" and not set(act_urls) <= set(own):
        raise service_error(
            "invalid_value",
            "runtime names another frontend than the deployment's, which its doctor does not look at; deploy with that "
            "one, or with mode dry_run",
            context={"field": "runtime"},
        )


def _same_as_before(writing: Writing, wish: Wish) -> Session | None:
    if wish.client_session_id is None:
        return None
    owner = writing.actor.organisation_id
    identity = writing.connection.scalar(
        select(session.c.id).where(
            session.c.organisation_id == owner, session.c.client_session_id == wish.client_session_id
        )
    )
    if identity is None:
        return None
    found = find_session(writing.connection, owner, identity)
    if found.row.api_key_id != writing.actor.key_id:
        raise service_error("conflict", "this clientSessionId is another key's; choose one of your own")
    asked = (wish.deployment_id, wish.artifact_id, wish.robot_id)
    known = (found.row.deployment_id, found.model.id, found.row.robot_id)
    if any(one not in (None, other) for one, other in zip(asked, known, strict=True)):
        raise service_error("idempotency_mismatch", "this clientSessionId came before for another robot or deployment")
    if not found.is_live:
        raise gone(found)
    if wish.mode != "dry_run" and found.row.mode == "dry_run":
        raise _not_promoted(found)
    return found


def _not_promoted(found: Session) -> ServiceError:
    """Whoever asks to move a robot must not be answered with a session that does not."""
    return service_error(
        "session_mode", f"session {found.row.id} is still in dry_run; promote it", context={"sessionId": found.row.id}
    )


def _model(writing: Writing, deployed: Row[Any]) -> Row[Any]:
    found = find(writing.connection, model, writing.actor.organisation_id, deployed.model_id, what="model")
    if found.revoked_at is not None:
        raise service_error(
            "wrong_state", "the model of this deployment was revoked; deploy another one",
            context={"field": "deploymentId"},
        )  # fmt: skip
    return found


def _wished(policy: Row[Any], machine: Row[Any], deployed: Row[Any]) -> Facts:
    """What is known before there is a session."""
    return Facts(
        deployment_id=deployed.id, robot_id=machine.id, model_version=model_version(policy),
        calibration_id=machine.calibration_id,
    )  # fmt: skip


def _robot(writing: Writing, robot_id: str, deployed: Row[Any]) -> Row[Any]:
    machine = find_named(writing.connection, robot, writing.actor.organisation_id, robot_id, field="robotId")
    if machine.revoked_at is not None:
        raise service_error("wrong_state", "this robot was revoked", context={"field": "robotId"})
    if deployed.robot_schema_id not in (None, machine.robot_schema_id):
        raise service_error(
            "invalid_value",
            "this deployment is for robots of another schema; name one of those, or a deployment for this robot's",
            context={"field": "robotId"},
        )
    return machine


def _take_lease(writing: Writing, machine: Row[Any], wish: Wish) -> None:
    held = writing.connection.scalar(
        select(session.c.id).where(session.c.robot_id == machine.id, session.c.ended_at.is_(None))
    )
    if held is None:
        return
    holder = find_session(writing.connection, writing.actor.organisation_id, held)
    name = writing.connection.scalar(select(api_key.c.name).where(api_key.c.id == holder.row.api_key_id))
    reason = wish.take_over_reason
    if reason is None or wish.take_over_from not in (None, held):
        raise service_error(
            "robot_busy",
            f"this robot is driven by {name} in session {held}, which ends at {iso_of(holder.row.expires_at)} "
            "unless its heartbeats go on; wait for its end, close it, or take it over with a reason",
            context={"sessionId": held, "holder": name, "mode": holder.row.mode},
        )
    writing.actor.require("sessions")
    end(writing, holder, "closed", f"taken over: {reason}", "session_taken_over")


def _make(writing: Writing, wish: Wish, deployed: Row[Any], machine: Row[Any]) -> Session:
    identity = new_id("sess")
    longest_ms = LONGEST_MS if wish.max_seconds is None else wish.max_seconds * SECOND_MS
    writing.connection.execute(
        insert(session).values(
            id=identity, organisation_id=writing.actor.organisation_id, deployment_id=deployed.id,
            robot_id=machine.id, api_key_id=writing.actor.key_id, mode="dry_run", status="dry_run",
            client_session_id=wish.client_session_id, created_at=writing.now_ms,
            expires_at=writing.now_ms + min(LIFE_MS, longest_ms), ends_by=writing.now_ms + longest_ms,
            calibration_id=machine.calibration_id, steps=0, applied_steps=0, safe_stops=0, guard_violations=0,
            refused_chunks=0,
        )
    )  # fmt: skip
    made = find_session(writing.connection, writing.actor.organisation_id, identity)
    writing.receipt("session_authorized", made.facts(wish.take_over_reason))
    return changed(writing, made)
