"""Pairing: a token that one robot's computer claims once, and gets a key of its own for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from reflex.errors import service_error
from reflex_control.identity.ids import new_id
from reflex_control.identity.keys import NewKey, make_key
from reflex_control.identity.one_time import digest_of, new_secret
from reflex_control.moments import DAY_S, SECOND_MS
from reflex_control.store.tables import pairing_token, robot

__all__ = ["DEFAULT_TTL_S", "MAX_TTL_S", "MIN_TTL_S", "Claimed", "claim_token", "make_token", "owner_of_token"]

PREFIX: Final = "rfx_pair_"
LABEL: Final = b"reflex pairing token 1"
DEFAULT_TTL_S: Final = 3_600
MIN_TTL_S: Final = 60
MAX_TTL_S: Final = DAY_S


@dataclass(frozen=True, slots=True)
class Claimed:
    """A robot that has just been paired, and its new key."""

    robot: Any
    key: NewKey


def make_token(
    connection: Connection, organisation_id: str, robot_id: str, ttl_s: int, now_ms: int
) -> tuple[dict[str, Any], int]:
    """The token's JSON but for its end, and its end; stored is its hash."""
    secret = new_secret(PREFIX)
    expires_at = now_ms + ttl_s * SECOND_MS
    identity = new_id("pair")
    connection.execute(
        insert(pairing_token).values(
            id=identity, organisation_id=organisation_id, robot_id=robot_id, digest=digest_of(secret, LABEL),
            created_at=now_ms, expires_at=expires_at,
        )
    )  # fmt: skip
    return {"id": identity, "robotId": robot_id, "token": secret}, expires_at


def owner_of_token(connection: Connection, token: str) -> str | None:
    """The organisation of a token; None for one that there is not."""
    return connection.scalar(
        select(pairing_token.c.organisation_id).where(pairing_token.c.digest == digest_of(token, LABEL))
    )


def claim_token(connection: Connection, token: str, now_ms: int) -> Claimed:
    """Take the token and make the robot's key; `ServiceError` 401 for every token that is not to be claimed.

    One conditional UPDATE decides who is first, whatever runs beside it.
    """
    digest = digest_of(token, LABEL)
    taken = connection.execute(
        update(pairing_token)
        .where(
            pairing_token.c.digest == digest, pairing_token.c.claimed_at.is_(None), pairing_token.c.expires_at > now_ms
        )
        .values(claimed_at=now_ms)
    )
    if taken.rowcount != 1:
        raise service_error("unauthorized", "this pairing token was claimed, has expired, or never was; make a new one")
    wanted = select(robot).join(pairing_token, pairing_token.c.robot_id == robot.c.id)
    paired = connection.execute(wanted.where(pairing_token.c.digest == digest)).one()
    if paired.revoked_at is not None:
        raise service_error("unauthorized", "this robot was revoked; register it anew")
    connection.execute(update(robot).where(robot.c.id == paired.id).values(paired_at=now_ms))
    key = make_key(connection, paired.organisation_id, f"robot {paired.name}", (), now_ms, robot_id=paired.id)
    return Claimed(paired, key)
