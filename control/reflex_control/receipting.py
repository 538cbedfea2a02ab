"""Receipts are written in the same transaction as what they attest, one chain for each organisation, without gaps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, func, insert, select

from reflex.signed.canonical import canonical_json
from reflex.signed.moments import iso_of
from reflex.signed.receipts import FIRST_SEQ, GENESIS_HASH, seal
from reflex.signed.signing import SigningKey
from reflex_control.identity.actor import Actor
from reflex_control.identity.ids import new_id
from reflex_control.store.tables import receipt

__all__ = ["Facts", "kinds_of", "last_seq", "newest_receipts", "receipts_of", "write_receipt"]

MAX_PAGE: Final = 1_000

_CAMEL: Final = {
    "deployment_id": "deploymentId", "session_id": "sessionId", "robot_id": "robotId", "model_version": "modelVersion",
    "calibration_id": "calibrationId", "limits_hash": "limitsHash", "applied_steps": "appliedSteps",
    "safe_stops": "safeStops", "guard_violations": "guardViolations",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a receipt says of what happened; None is not known, or has no meaning here."""

    deployment_id: str | None = None
    session_id: str | None = None
    robot_id: str | None = None
    model_version: str | None = None
    calibration_id: str | None = None
    limits_hash: str | None = None
    mode: str | None = None
    steps: int | None = None
    applied_steps: int | None = None
    safe_stops: int | None = None
    guard_violations: int | None = None
    reason: str | None = None


def write_receipt(
    connection: Connection, key: SigningKey, actor: Actor, kind: str, facts: Facts, now_ms: int
) -> Mapping[str, Any]:
    """Append one to the organisation's chain. Within a write of the organisation, so no other can come between."""
    last = connection.execute(
        select(receipt.c.seq, receipt.c.hash)
        .where(receipt.c.organisation_id == actor.organisation_id)
        .order_by(receipt.c.seq.desc())
        .limit(1)
    ).one_or_none()
    body = {
        "id": new_id("rcpt"),
        "seq": FIRST_SEQ if last is None else last.seq + 1,
        "timestamp": iso_of(now_ms),
        "kind": kind,
        "organisation": actor.organisation_id,
        "actor": {"keyId": actor.key_id or None, "name": actor.key_name},
        **{_CAMEL.get(name, name): value for name, value in asdict(facts).items()},
    }
    sealed = seal(body, GENESIS_HASH if last is None else last.hash, key)
    connection.execute(
        insert(receipt).values(
            organisation_id=actor.organisation_id, seq=sealed["seq"], id=sealed["id"], kind=kind, created_at=now_ms,
            hash=sealed["hash"], body=canonical_json(sealed).decode(), deployment_id=facts.deployment_id,
            session_id=facts.session_id, robot_id=facts.robot_id,
        )
    )  # fmt: skip
    return sealed


def last_seq(connection: Connection, organisation_id: str) -> int:
    """The number of the newest; one before the first when there is none."""
    found = connection.scalar(select(func.max(receipt.c.seq)).where(receipt.c.organisation_id == organisation_id))
    return FIRST_SEQ - 1 if found is None else int(found)


def kinds_of(connection: Connection, organisation_id: str) -> list[str]:
    """Which kinds of receipts there are."""
    found = select(receipt.c.kind).where(receipt.c.organisation_id == organisation_id).distinct()
    return sorted(connection.scalars(found))


def receipts_of(
    connection: Connection, organisation_id: str, *, after: int = 0, limit: int = MAX_PAGE, **wanted: str | None
) -> list[dict[str, Any]]:
    """In the order in which they were written, those after `after`; `wanted` are columns and their values."""
    found = _chosen(organisation_id, wanted).where(receipt.c.seq > after)
    return [json.loads(body) for body in connection.scalars(found.order_by(receipt.c.seq).limit(limit))]


def newest_receipts(
    connection: Connection, organisation_id: str, *, before: int | None = None, limit: int = MAX_PAGE,
    **wanted: str | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The last one first, those before `before` where there is one."""
    found = _chosen(organisation_id, wanted)
    found = found if before is None else found.where(receipt.c.seq < before)
    return [json.loads(body) for body in connection.scalars(found.order_by(receipt.c.seq.desc()).limit(limit))]


def _chosen(organisation_id: str, wanted: Mapping[str, str | None]) -> Select[Any]:
    return select(receipt.c.body).where(
        receipt.c.organisation_id == organisation_id,
        *(receipt.c[name] == value for name, value in wanted.items() if value is not None),
    )
