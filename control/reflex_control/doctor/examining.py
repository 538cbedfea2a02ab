"""An examination: what the store knows, what the frontends say, every check, and a receipt of the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import update

from reflex.outbound import DEADLINE_S, Resolver, resolve
from reflex.readiness.checking import Check
from reflex.signed.moments import iso_of
from reflex.signed.session_credential import Claims, issue
from reflex.signed.signing import SigningKey
from reflex_control.doctor.case import Case, Records, records_of
from reflex_control.doctor.frontend_checks import act_reachable, clock, model_loaded, model_version_served
from reflex_control.doctor.policy_checks import model_registered, normalisation, parity, trained
from reflex_control.doctor.robot_checks import lead_of, robot_checks
from reflex_control.doctor.schema_checks import (
    action_dim,
    cameras,
    limits,
    safe_stop_declared,
    schema_bound,
    state_dim,
    units,
)
from reflex_control.doctor.sighting import Looking, see
from reflex_control.identity.actor import Actor
from reflex_control.identity.ids import new_id
from reflex_control.moments import SECOND_MS
from reflex_control.places import Places
from reflex_control.plane import Plane, Writing
from reflex_control.receipting import Facts
from reflex_control.registry.models import model_version
from reflex_control.signing_keys import active_key
from reflex_control.store.tables import deployment

__all__ = ["checks_of", "examine"]

LOOK_LASTS_MS: Final = 10 * SECOND_MS
NO_POLICY: Final = "sha256:" + "0" * 64
_places = Places(16, 4, "too many deployments are being checked; try again")
"""Of 40 threads, each for as long as strangers' machines take: whoever names slow addresses holds up nobody else."""


def examine(
    plane: Plane, actor: Actor, deployment_id: str, *, resolver: Resolver = resolve, deadline_s: float = DEADLINE_S
) -> dict[str, Any]:
    """Look at everything, keep what was found and a receipt of it, and give it as the wire has it.

    `ServiceError`: 404 when there is no such deployment, 429 when too many are being looked at.
    """
    with _places.taken(actor.organisation_id):
        began_ms = plane.clock()
        with plane.reading() as connection:
            records = records_of(connection, actor.organisation_id, deployment_id, plane.clock())
            credential = _look_credential(records, active_key(connection), plane.clock())
        looking = Looking(credential, records.model.content_hash, plane.clock, resolver, deadline_s)
        seen = see(records.urls, looking)
    with plane.writing(actor) as writing:
        # Read anew: seconds have passed, in which a key may have been revoked.
        records = records_of(writing.connection, actor.organisation_id, deployment_id, writing.now_ms)
        return _kept(writing, records, checks_of(Case(records, seen)), began_ms)


def checks_of(case: Case) -> list[Check]:
    """All of them, in the order in which they are mended."""
    return [
        model_registered(case),
        act_reachable(case),
        model_loaded(case),
        model_version_served(case),
        trained(case),
        parity(case),
        normalisation(case),
        schema_bound(case),
        state_dim(case),
        action_dim(case),
        units(case),
        cameras(case),
        limits(case),
        safe_stop_declared(case),
        *robot_checks(case),
        clock(case, lead_of(case)),
    ]


def _kept(writing: Writing, records: Records, checks: Sequence[Check], began_ms: int) -> dict[str, Any]:
    """As old as its oldest look; what began later and was kept before holds on."""
    faults = [check.id for check in checks if check.status == "fail"]
    report = {
        "deploymentId": records.deployed.id,
        "ready": not faults,
        "checkedAt": iso_of(began_ms),
        "checks": [check.as_json() for check in checks],
    }
    is_this, kept_at = deployment.c.id == records.deployed.id, deployment.c.doctor_at
    writing.connection.execute(
        update(deployment)
        .where(is_this, kept_at.is_(None) | (kept_at <= began_ms) | (kept_at > writing.now_ms))
        .values(doctor=report, doctor_at=began_ms)
    )
    reason = f"failed: {', '.join(faults)}" if faults else "ready"
    schema = records.schema_row
    writing.receipt(
        "doctor",
        Facts(
            deployment_id=records.deployed.id, model_version=model_version(records.model),
            limits_hash=None if schema is None else schema.limits_hash, reason=reason,
        ),
    )  # fmt: skip
    return report


def _look_credential(records: Records, key: SigningKey, now_ms: int) -> str:
    """It shows /config for a few seconds, and is for no policy: it goes to an address that a user named."""
    claims = Claims(
        session_id=new_id("sess"), organisation_id=records.deployed.organisation_id, robot_id=None,
        deployment_id=records.deployed.id, model_hash=NO_POLICY, model_version="none", mode="dry_run",
        calibration_id=None, limits_hash=None, issued_at_ms=now_ms, expires_at_ms=now_ms + LOOK_LASTS_MS,
    )  # fmt: skip
    return issue(claims, key)
