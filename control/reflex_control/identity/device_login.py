"""A login by a code (RFC 8628): a machine shows one, an admin confirms it, and the machine takes its key, once.

Of the machine's own secret, the device code, a hash is stored. A login waits until it is confirmed (`scopes` of the
key to come) or refused (no scope), and is forgotten after its time in any case.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from reflex.errors import ServiceError, service_error
from reflex_control.identity.actor import Scope
from reflex_control.identity.ids import new_id
from reflex_control.identity.one_time import digest_of, new_secret
from reflex_control.moments import MINUTE_MS
from reflex_control.store.tables import device_login

__all__ = [
    "LIFE_MS",
    "Started",
    "ask",
    "confirm",
    "ended",
    "find_waiting",
    "key_id_of",
    "refuse",
    "start",
    "take",
    "withdraw",
]

LIFE_MS: Final = 10 * MINUTE_MS
PREFIX: Final = "rfx_login_"
LABEL: Final = b"reflex device code 1"
LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so no words, and no letter that looks like another (RFC 8628, 6.1)."""
CODE_LETTERS: Final = 8
"""Of 20 letters: 34.5 bits. How often one may guess is in `login_limits`."""
MAX_WAITING: Final = 10_000
FULL_RETRY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Started:
    """A login that has just begun; `device_code` is told once."""

    device_code: str
    user_code: str
    expires_at: int


def start(connection: Connection, client_name: str | None, now_ms: int) -> Started:
    """Begin one; `ServiceError` 429 when too many wait already."""
    waiting = select(func.count()).select_from(device_login).where(device_login.c.expires_at > now_ms)
    if int(connection.scalar(waiting) or 0) >= MAX_WAITING:
        raise service_error("rate_limited", "too many logins wait; try again later", retry_after_s=FULL_RETRY_S)
    secret = new_secret(PREFIX)
    started = Started(secret, _free_code(connection), now_ms + LIFE_MS)
    connection.execute(
        insert(device_login).values(
            id=new_id("login"), device_digest=digest_of(secret, LABEL), user_code=started.user_code,
            client_name=client_name, created_at=now_ms, expires_at=started.expires_at,
        )
    )  # fmt: skip
    return started


def ask(connection: Connection, device_code: str, now_ms: int) -> Row[Any]:
    """The login, which waits or is confirmed; `ServiceError` 410 when there is none any more, 403 when it was refused.

    One that has expired, whose key was taken, and one that never was are refused alike.
    """
    row = connection.execute(_by_secret(device_code)).one_or_none()
    if row is None or row.taken_at is not None or now_ms >= row.expires_at:
        raise ended()
    if row.confirmed_at is not None and not row.scopes:
        raise service_error("login_refused", "this login was refused; ask who administers the organisation why")
    return row


def take(connection: Connection, login_id: str, now_ms: int) -> None:
    """Whoever is first takes it, whatever runs beside: one conditional UPDATE. `ServiceError` 410 for all others."""
    taken = connection.execute(
        update(device_login)
        .where(
            device_login.c.id == login_id, device_login.c.taken_at.is_(None), device_login.c.expires_at > now_ms,
            device_login.c.confirmed_at.is_not(None),
        )
        .values(taken_at=now_ms)
    )  # fmt: skip
    if taken.rowcount != 1:
        raise ended()


def find_waiting(connection: Connection, user_code: str, now_ms: int) -> Row[Any]:
    """The login of a code as a person writes it; `ServiceError` 404 unless it waits."""
    row = connection.execute(select(device_login).where(*_waits(user_code, now_ms))).one_or_none()
    if row is None:
        raise _unknown()
    return row


def confirm(
    connection: Connection,
    organisation_id: str,
    key_id: str,
    user_code: str,
    scopes: Sequence[Scope],
    now_ms: int,
) -> Row[Any]:
    """Grant it a key of these scopes, in the name of `key_id`; `ServiceError` 404 unless it waits."""
    changed = connection.execute(
        update(device_login)
        .where(*_waits(user_code, now_ms))
        .values(organisation_id=organisation_id, confirmed_by=key_id, scopes=list(scopes), confirmed_at=now_ms)
    )
    if changed.rowcount != 1:
        raise _unknown()
    return connection.execute(select(device_login).where(device_login.c.user_code == _normal(user_code))).one()


def refuse(connection: Connection, organisation_id: str, key_id: str, user_code: str, now_ms: int) -> Row[Any]:
    """Nobody can confirm it any more, and the machine that waits is told; `ServiceError` 404 unless it waits."""
    return confirm(connection, organisation_id, key_id, user_code, (), now_ms)


def withdraw(connection: Connection, device_code: str) -> Row[Any] | None:
    """As if it had never been: the machine does not wait any more. One whose key was taken stays, and is told."""
    is_it = device_login.c.device_digest == digest_of(device_code, LABEL)
    gone = connection.execute(delete(device_login).where(is_it, device_login.c.taken_at.is_(None)))
    return None if gone.rowcount == 1 else connection.execute(_by_secret(device_code)).one_or_none()


def key_id_of(login_id: str) -> str:
    """The id of the key that a login gives: so the one is found by the other."""
    return f"key_{login_id.removeprefix('login_')}"


def ended() -> ServiceError:
    return service_error(
        "login_ended", "this login has expired, was taken already, or never was; run 'reflex login' again"
    )


def _unknown() -> ServiceError:
    return service_error(
        "not_found",
        f"no login of this code waits: it lives {LIFE_MS // MINUTE_MS} minutes and is confirmed once; compare it with "
        "what the other machine shows, or run 'reflex login' there again",
    )


def _waits(user_code: str, now_ms: int) -> tuple[Any, ...]:
    return (
        device_login.c.user_code == _normal(user_code),
        device_login.c.confirmed_at.is_(None),
        device_login.c.expires_at > now_ms,
    )


def _by_secret(device_code: str) -> Any:  # noqa: ANN401 - a statement
    return select(device_login).where(device_login.c.device_digest == digest_of(device_code, LABEL))


def _free_code(connection: Connection) -> str:
    while True:
        letters = "".join(secrets.choice(LETTERS) for _ in range(CODE_LETTERS))
        code = f"{letters[:4]}-{letters[4:]}"
        if connection.scalar(select(device_login.c.id).where(device_login.c.user_code == code)) is None:
            return code


def _normal(written: str) -> str:
    """As it is stored: people leave the dash out, or write small letters and spaces."""
    letters = "".join(each for each in written.upper() if each.isalnum())
    return f"{letters[:4]}-{letters[4:]}"
