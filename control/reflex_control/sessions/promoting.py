"""Promotion: from dry_run to a robot that moves. Every refusal is kept as a receipt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Row, update

from reflex.errors import ServiceError, service_error
from reflex_control.moments import MINUTE_MS, SECOND_MS
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.robots import HEARTBEAT_LOST_MS
from reflex_control.sessions.fitness import faults_in_words, fitness_of
from reflex_control.sessions.life import Session, changed, find_session, require_live, sweep
from reflex_control.store.tables import session

__all__ = ["DOCTOR_HOLDS_MS", "promote", "promote_session", "require_ready"]

DOCTOR_HOLDS_MS: Final = 15 * MINUTE_MS
NOT_READY: Final = "Deployment not ready for apply_actions"


def promote_session(writing: Writing, session_id: str) -> Session:
    """From dry_run to apply_actions. `ServiceError`: 403, 404, 410, or 409 deployment_not_ready with what is wrong."""
    writing.actor.require("promote")
    sweep(writing)
    found = find_session(writing.connection, writing.actor.organisation_id, session_id)
    require_live(found)
    return found if found.row.mode == "apply_actions" else promote(writing, found)


def promote(writing: Writing, found: Session) -> Session:
    """The rules, in the order in which they are told."""
    require_ready(writing, found.deployment, found.model, found.robot, found.facts())
    writing.connection.execute(
        update(session)
        .where(session.c.id == found.row.id)
        .values(mode="apply_actions", status="apply_actions", promoted_at=writing.now_ms)
    )
    promoted = changed(writing, found)
    writing.receipt("session_promoted", promoted.facts())
    return promoted


def require_ready(writing: Writing, deployed: Row[Any], model: Row[Any], machine: Row[Any], facts: Facts) -> None:
    """`ServiceError` when the robot may not be moved by it; `facts` are those of the receipt of the refusal."""
    refused = _refusal(deployed, model, machine, writing.now_ms) or _unfit(writing, deployed, machine)
    if refused is not None:
        writing.refuse(refused, "promotion_refused", replace(facts, reason=refused.message))


def _refusal(deployed: Row[Any], model: Row[Any], machine: Row[Any], now_ms: int) -> ServiceError | None:
    if deployed.mode != "apply_actions":
        return service_error(
            "wrong_state", "this deployment may reach dry_run at most; deploy it with mode apply_actions"
        )
    if model.revoked_at is not None:
        return service_error("wrong_state", "the model of this deployment was revoked; deploy another one")
    if deployed.doctor_at is None or now_ms - deployed.doctor_at > DOCTOR_HOLDS_MS:
        return _not_ready(
            deployed,
            [],
            f"its last check is missing, or older than {DOCTOR_HOLDS_MS // MINUTE_MS} minutes; run: reflex "
            f"doctor {deployed.id}",
        )
    if not deployed.doctor["ready"]:
        failed = [check for check in deployed.doctor["checks"] if check["status"] == "fail"]
        return _not_ready(deployed, failed, "; ".join(f"{check['id']}: {check['message']}" for check in failed))
    if machine.heartbeat_at is None or now_ms - machine.heartbeat_at >= HEARTBEAT_LOST_MS:
        return service_error(
            "wrong_state",
            f"the robot has sent no heartbeat within {HEARTBEAT_LOST_MS // SECOND_MS} s; start its runner, then "
            "promote",
        )
    return None


def _unfit(writing: Writing, deployed: Row[Any], machine: Row[Any]) -> ServiceError | None:
    """The doctor found a robot that may be moved; this may be another one, or have changed since."""
    (found,) = fitness_of(writing.connection, deployed, [machine], writing.now_ms)
    if not found.faults:
        return None
    return _not_ready(deployed, [check.as_json() for check in found.faults], faults_in_words(found.faults))


def _not_ready(deployed: Row[Any], failed: list[dict[str, Any]], what: str) -> ServiceError:
    return service_error(
        "deployment_not_ready", f"{NOT_READY}: {what}",
        context={"deploymentId": deployed.id, "checks": failed},
    )  # fmt: skip
