"""Keys of people, programs and robots: made, recognised, rotated with an overlap, revoked.

Stored is a hash (reflex.api_keys says which). A malformed, an unknown, a revoked and an expired key are looked up in
the same way and get the same 401.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from reflex.api_keys import digest_of, new_key
from reflex.errors import ServiceError, service_error
from reflex.signed.moments import iso_of
from reflex_control.identity.actor import SCOPES, Actor, Scope
from reflex_control.identity.ids import new_id
from reflex_control.moments import MINUTE_MS, iso_or_none
from reflex_control.store.database import Database
from reflex_control.store.tables import api_key, organisation, receipt

__all__ = [
    "NewKey",
    "authenticate",
    "end_key_at",
    "key_as_json",
    "key_of",
    "keys_of",
    "make_key",
    "make_organisation",
    "recall",
    "require_another_admin",
    "revoke_key",
    "rotate_key",
    "said_of_rotation",
    "still_holding",
    "still_holds",
    "unauthorized",
    "whoami",
]

MAX_KEY_BYTES: Final = 256
NOTE_USE_EVERY_MS: Final = MINUTE_MS
"""A write for each request would be most of its cost."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; `secret` is told once."""

    id: str
    secret: str


def make_organisation(connection: Connection, name: str, now_ms: int) -> str:
    """Its id."""
    identity = new_id("org")
    connection.execute(insert(organisation).values(id=identity, name=name, created_at=now_ms))
    return identity


def make_key(
    connection: Connection,
    organisation_id: str,
    name: str,
    scopes: Iterable[Scope],
    now_ms: int,
    *,
    robot_id: str | None = None,
    expires_at: int | None = None,
    identity: str | None = None,
) -> NewKey:
    """Write a key down. Who asks was found to have the right before."""
    new = NewKey(identity or new_id("key"), new_key())
    granted = set(scopes)
    row = {
        "id": new.id, "organisation_id": organisation_id, "name": name, "digest": digest_of(new.secret.encode()),
        "scopes": [scope for scope in SCOPES if scope in granted], "robot_id": robot_id, "created_at": now_ms,
        "expires_at": expires_at,
    }  # fmt: skip
    connection.execute(insert(api_key).values(**row))
    return new


def authenticate(database: Database, secret: bytes | None, now_ms: int) -> Actor:
    """Who holds this key; `ServiceError` 401, the same for all that are not accepted."""
    digest = digest_of((secret or b"")[:MAX_KEY_BYTES])
    with database.reading() as connection:
        row = connection.execute(select(api_key).where(api_key.c.digest == digest)).one_or_none()
    if row is None or secret is None or not _holds(row, now_ms):
        raise unauthorized()
    return _noted(database, row, now_ms)


def recall(database: Database, key_id: str, now_ms: int) -> Actor:
    """Whoever was authenticated before, while the key holds; `ServiceError` 401 from then on."""
    with database.reading() as connection:
        row = connection.execute(select(api_key).where(api_key.c.id == key_id)).one_or_none()
    if row is None or not _holds(row, now_ms):
        raise unauthorized()
    return _noted(database, row, now_ms)


def _noted(database: Database, row: Row[Any], now_ms: int) -> Actor:
    if row.used_at is None or now_ms - row.used_at >= NOTE_USE_EVERY_MS:
        with database.writing() as connection:
            connection.execute(update(api_key).where(api_key.c.id == row.id).values(used_at=now_ms))
    return Actor(row.id, row.name, row.organisation_id, frozenset(row.scopes), row.robot_id)


def unauthorized() -> ServiceError:
    return service_error("unauthorized", "a key is needed: Authorization: Bearer rfx_..., one that holds")


def key_of(connection: Connection, organisation_id: str, key_id: str) -> Row[Any]:
    """`ServiceError` 404 for another organisation's as for none."""
    row = connection.execute(
        select(api_key).where(api_key.c.id == key_id, api_key.c.organisation_id == organisation_id)
    ).one_or_none()
    if row is None:
        raise service_error("not_found", "there is no such key in this organisation")
    return row


def keys_of(connection: Connection, organisation_id: str) -> list[dict[str, Any]]:
    """All of them, oldest first; never a secret."""
    rows = connection.execute(
        select(api_key).where(api_key.c.organisation_id == organisation_id).order_by(api_key.c.created_at, api_key.c.id)
    )
    return [key_as_json(row) for row in rows]


def still_holds(connection: Connection, key_id: str, now_ms: int) -> bool:
    """Whether a key that was accepted would be again."""
    row = connection.execute(select(api_key).where(api_key.c.id == key_id)).one_or_none()
    return row is not None and _holds(row, now_ms)


def still_holding(connection: Connection, key_ids: Collection[str], now_ms: int) -> frozenset[str]:
    """Those of the keys that would be accepted now."""
    rows = connection.execute(select(api_key).where(api_key.c.id.in_(sorted(key_ids))))
    return frozenset(row.id for row in rows if _holds(row, now_ms))


def rotate_key(connection: Connection, row: Row[Any], overlap_ms: int, now_ms: int) -> NewKey:
    """A key with the same name and rights; the old one ends after the overlap, or when it would have anyway.

    It ends with its overlap then, and so would a second one in its place: that is refused.
    """
    if not _holds(row, now_ms):
        raise service_error("wrong_state", "this key is revoked or expired; make a new one")
    _require_not_rotated(connection, row)
    new = make_key(
        connection, row.organisation_id, row.name, row.scopes, now_ms, robot_id=row.robot_id, expires_at=row.expires_at
    )
    end_key_at(connection, row, now_ms + overlap_ms)
    return new


def said_of_rotation(row: Row[Any], made: NewKey) -> str:
    """The reason of its receipt, by which `rotate_key` knows one that was rotated before."""
    return f"{_rotated(row)}{made.id}: {row.name}"


def _require_not_rotated(connection: Connection, row: Row[Any]) -> None:
    """`ServiceError` 409 that names the key in its place. Only one that has an end may be one."""
    if row.expires_at is None:
        return
    begins = _rotated(row)
    told = select(receipt.c.body).where(
        receipt.c.organisation_id == row.organisation_id, receipt.c.kind == "key_rotated",
        receipt.c.body.contains(f'"reason":"{begins}', autoescape=True),
    )  # fmt: skip
    body = connection.scalar(told.order_by(receipt.c.seq.desc()).limit(1))
    if body is None:
        return
    next_id, _, _ = json.loads(body)["reason"].removeprefix(begins).partition(":")
    again = f"reflex robots pair {row.robot_id}" if row.robot_id else "reflex keys create --name NAME --scope SCOPE"
    raise service_error(
        "wrong_state",
        f"this key was rotated before and ends at {iso_of(row.expires_at)}; rotate the one in its place, {next_id}, or "
        f"where that is lost make a new one: {again}",
    )


def _rotated(row: Row[Any]) -> str:
    return f"{row.id} by "


def end_key_at(connection: Connection, row: Row[Any], ends_at: int) -> None:
    """From then on it is not accepted, or from when it would not have been anyway."""
    ends = ends_at if row.expires_at is None else min(row.expires_at, ends_at)
    connection.execute(update(api_key).where(api_key.c.id == row.id).values(expires_at=ends))


def require_another_admin(connection: Connection, row: Row[Any], now_ms: int) -> None:
    """`ServiceError` 409 where the organisation would be without an admin's key, now or when the others expire.

    Nobody could make another one then. Within a write of the organisation: no other one takes its last beside this.
    """
    if "admin" not in row.scopes or not _holds(row, now_ms):
        return
    rows = connection.execute(select(api_key).where(api_key.c.organisation_id == row.organisation_id))
    others = [each for each in rows if each.id != row.id and "admin" in each.scopes and _holds(each, now_ms)]
    if any(each.expires_at is None for each in others) or (others and row.expires_at is not None):
        return
    until = f" but for keys that expire by {iso_of(max(each.expires_at for each in others))}" if others else ""
    raise service_error(
        "wrong_state",
        f"this is the last key with the scope admin{until}, and without one nobody could make keys any more; first "
        "make one that does not expire, with every scope that it shall grant: reflex keys create --name NAME --scope "
        "admin --scope read",
    )


def revoke_key(connection: Connection, key_id: str, now_ms: int) -> bool:
    """From now on it is not accepted; False when it was not before."""
    done = connection.execute(
        update(api_key).where(api_key.c.id == key_id, api_key.c.revoked_at.is_(None)).values(revoked_at=now_ms)
    )
    return done.rowcount == 1


def whoami(connection: Connection, actor: Actor) -> dict[str, Any]:
    """The organisation and the key, as the key's holder may see them."""
    owner = connection.execute(select(organisation).where(organisation.c.id == actor.organisation_id)).one()
    key = key_as_json(key_of(connection, actor.organisation_id, actor.key_id))
    return {"organisation": {"id": owner.id, "name": owner.name}, "key": key}


def key_as_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "scopes": row.scopes,
        "kind": "operator" if row.robot_id is None else "robot",
        "robotId": row.robot_id,
        "createdAt": iso_of(row.created_at),
        "expiresAt": iso_or_none(row.expires_at),
        "revokedAt": iso_or_none(row.revoked_at),
        "lastUsedAt": iso_or_none(row.used_at),
    }


def _holds(row: Row[Any], now_ms: int) -> bool:
    return row.revoked_at is None and (row.expires_at is None or now_ms < row.expires_at)
