"""Keys over HTTP: whose one is, and how they are made, shown, rotated and taken back."""

from __future__ import annotations

from typing import Any, Final, cast

from reflex.control import objects
from reflex_control.http.operation import Call, Needs, Operation
from reflex_control.http.routes.bodies import NewKey, Rotation, WithReason
from reflex_control.identity import keys
from reflex_control.identity.actor import Scope, check_scopes
from reflex_control.moments import SECOND_MS
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.sessions.life import end_those_of

__all__ = ["KEY_OPERATIONS"]

ADMIN: Final = Needs.scope("admin")
ADMIN_OR_ITSELF: Final = Needs(("admin",), own_key=True)


def _whoami(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return keys.whoami(connection, call.who)


def _list(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return {"keys": keys.keys_of(connection, call.who.organisation_id)}


def _create(call: Call) -> dict[str, Any]:
    wanted: NewKey = call.body

    def make(writing: Writing) -> dict[str, Any]:
        scopes = check_scopes(wanted.scopes, writing.actor)
        lasts_s = wanted.expires_in_seconds
        made = keys.make_key(
            writing.connection, writing.actor.organisation_id, wanted.name, scopes, writing.now_ms,
            expires_at=None if lasts_s is None else writing.now_ms + lasts_s * SECOND_MS,
        )  # fmt: skip
        writing.receipt("key_created", Facts(reason=f"{made.id}: {wanted.name}"))
        return _told(writing, made)

    return call.plane.create(call.who, call.repetition, make)


def _rotate(call: Call) -> dict[str, Any]:
    rotation: Rotation = call.body

    def make(writing: Writing) -> dict[str, Any]:
        row = keys.key_of(writing.connection, writing.actor.organisation_id, call.path["id"])
        if row.id != writing.actor.key_id and row.robot_id is None:
            check_scopes(cast("list[Scope]", row.scopes), writing.actor)  # else its secret would be a way to more
        made = keys.rotate_key(writing.connection, row, rotation.overlap_seconds * SECOND_MS, writing.now_ms)
        writing.receipt("key_rotated", Facts(robot_id=row.robot_id, reason=keys.said_of_rotation(row, made)))
        return _told(writing, made)

    return call.plane.create(call.who, call.repetition, make)


def _revoke(call: Call) -> dict[str, Any]:
    given: WithReason = call.body
    with call.plane.writing(call.who) as writing:
        row = keys.key_of(writing.connection, writing.actor.organisation_id, call.path["id"])
        keys.require_another_admin(writing.connection, row, writing.now_ms)
        if keys.revoke_key(writing.connection, row.id, writing.now_ms):
            reason = row.id if given.reason is None else f"{row.id}: {given.reason}"
            writing.receipt("key_revoked", Facts(robot_id=row.robot_id, reason=reason))
            end_those_of(writing, "its key was revoked", api_key_id=row.id)
        return keys.key_as_json(keys.key_of(writing.connection, row.organisation_id, row.id))


def _told(writing: Writing, made: keys.NewKey) -> dict[str, Any]:
    row = keys.key_of(writing.connection, writing.actor.organisation_id, made.id)
    return {**keys.key_as_json(row), "key": made.secret}


KEY_OPERATIONS: Final = (
    Operation("GET", "/v1/whoami", "The key that is in use, and whose it is", Needs(), _whoami, objects.WhoAmI),
    Operation("GET", "/v1/keys", "Every key of the organisation; never a secret", ADMIN, _list, objects.Keys),
    Operation("POST", "/v1/keys", "Make a key of some of your own scopes", ADMIN, _create, objects.IssuedKey,
              takes=NewKey, status=201),
    Operation("POST", "/v1/keys/{id}/rotate", "Make a key in place of one", ADMIN_OR_ITSELF, _rotate,
              objects.IssuedKey, takes=Rotation, status=201),
    Operation("POST", "/v1/keys/{id}/revoke", "Take a key back", ADMIN_OR_ITSELF, _revoke, objects.Key,
              takes=WithReason),
)  # fmt: skip
