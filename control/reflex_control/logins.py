"""Logins by a code, as machines and admins ask for them: counted, written, and on the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row

from reflex.errors import ServiceError, service_error
from reflex.signed.moments import iso_of
from reflex_control.identity import device_login
from reflex_control.identity.actor import SCOPES, Actor, Scope, check_scopes
from reflex_control.identity.keys import key_of, make_key, revoke_key
from reflex_control.identity.login_limits import INTERVAL_S
from reflex_control.plane import Plane, Writing
from reflex_control.receipting import Facts

__all__ = ["BY_NAME", "confirm_login", "refuse_login", "show_login", "start_login", "take_login", "withdraw_login"]

BY_NAME: Final[frozenset[Scope]] = frozenset({"admin", "promote"})
"""Scopes that a confirmation grants only where it names them."""
NO_NAME: Final = "a login"


def start_login(plane: Plane, client_name: str | None, address: str) -> dict[str, Any]:
    """Begin one; the answer's `deviceCode` is the machine's alone, and its `userCode` for people."""
    plane.logins.start(address)
    with plane.database.writing() as connection:
        started = device_login.start(connection, client_name, plane.clock())
    return {
        "deviceCode": started.device_code,
        "userCode": started.user_code,
        "expiresAt": iso_of(started.expires_at),
        "intervalSeconds": INTERVAL_S,
    }


def take_login(plane: Plane, device_code: str) -> dict[str, Any]:
    """The key, once. `ServiceError` 428 while nobody has confirmed it, 429 asked too soon, 403 refused, 410 ended."""
    with plane.reading() as connection:
        row = device_login.ask(connection, device_code, plane.clock())
        confirmer = None if row.confirmed_at is None else key_of(connection, row.organisation_id, row.confirmed_by)
    plane.logins.ask(row.id)
    if confirmer is None:
        raise service_error("login_pending", "nobody has confirmed this login yet; ask again after intervalSeconds")
    actor = Actor(confirmer.id, confirmer.name, row.organisation_id, frozenset(confirmer.scopes))
    try:
        with plane.writing(actor) as writing:
            return _handed_out(writing, row)
    except ServiceError as exc:
        if exc.code != "unauthorized":  # the key that confirmed it was taken back since
            raise
        raise device_login.ended() from exc


def withdraw_login(plane: Plane, device_code: str) -> None:
    """The machine stopped waiting; a key that was on its way to it, and that nobody has used, is taken back."""
    with plane.database.writing() as connection:
        taken = device_login.withdraw(connection, device_code)
    if taken is None:
        return
    machine = Actor("", taken.client_name or NO_NAME, taken.organisation_id, frozenset())
    with plane.writing(machine) as writing:
        key = key_of(writing.connection, taken.organisation_id, device_login.key_id_of(taken.id))
        if key.used_at is None and revoke_key(writing.connection, key.id, writing.now_ms):
            writing.receipt("key_revoked", Facts(reason=f"{key.id}: {taken.id} was withdrawn"))


def show_login(plane: Plane, actor: Actor, user_code: str) -> dict[str, Any]:
    """What waits for a confirmation, for an admin to look at. `ServiceError` 404 for no code that waits."""
    actor.require("admin")
    with plane.logins.guessing(actor), plane.reading() as connection:
        return _shown(device_login.find_waiting(connection, user_code, plane.clock()))


def confirm_login(plane: Plane, actor: Actor, user_code: str, scopes: Sequence[str] | None = None) -> dict[str, Any]:
    """Let the machine that shows the code take a key of these scopes, which the confirmer must have itself.

    None is all that it has but for `admin` and `promote`, which are granted by name alone. `ServiceError` 403, 404,
    422, or 429 after too many wrong codes.
    """
    actor.require("admin")
    granted = check_scopes(_usual(actor) if scopes is None else scopes, actor)
    with plane.logins.guessing(actor), plane.writing(actor) as writing:
        row = device_login.confirm(
            writing.connection, actor.organisation_id, actor.key_id, user_code, granted, writing.now_ms
        )
        writing.receipt("login_confirmed", _facts(row))
        return _shown(row)


def refuse_login(plane: Plane, actor: Actor, user_code: str) -> dict[str, Any]:
    """Tell the machine that shows the code that it gets no key. `ServiceError` as of `confirm_login`."""
    actor.require("admin")
    with plane.logins.guessing(actor), plane.writing(actor) as writing:
        row = device_login.refuse(writing.connection, actor.organisation_id, actor.key_id, user_code, writing.now_ms)
        writing.receipt("login_refused", _facts(row))
        return _shown(row)


def _handed_out(writing: Writing, row: Row[Any]) -> dict[str, Any]:
    device_login.take(writing.connection, row.id, writing.now_ms)
    owner, name = writing.actor.organisation_id, row.client_name or NO_NAME
    identity = device_login.key_id_of(row.id)
    made = make_key(writing.connection, owner, name, row.scopes, writing.now_ms, identity=identity)
    writing.receipt("key_created", Facts(reason=f"{made.id}: {name}, by {row.id}"))
    return {"key": made.secret, "keyId": made.id, "organisationId": owner, "scopes": row.scopes}


def _usual(actor: Actor) -> list[Scope]:
    return [scope for scope in SCOPES if scope in actor.scopes and scope not in BY_NAME]


def _facts(row: Row[Any]) -> Facts:
    return Facts(reason=f"{row.id}: {row.client_name or NO_NAME}; {', '.join(row.scopes) or 'no scope'}")


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "userCode": row.user_code,
        "clientName": row.client_name,
        "createdAt": iso_of(row.created_at),
        "expiresAt": iso_of(row.expires_at),
        "scopes": row.scopes or [],
        "status": "waiting" if row.confirmed_at is None else "confirmed" if row.scopes else "refused",
    }
