"""Robots and their pairing over HTTP."""

from __future__ import annotations

from typing import Any, Final

from reflex.control import objects
from reflex.errors import service_error
from reflex.signed.moments import iso_of
from reflex_control.http.operation import PUBLIC, Call, Operation
from reflex_control.http.routes.bodies import Claim, NewPairingToken, NewRobot, WithReason
from reflex_control.http.routes.registry import READ, WRITE
from reflex_control.identity.actor import Actor
from reflex_control.identity.pairing import DEFAULT_TTL_S, claim_token, make_token, owner_of_token
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.finding import find
from reflex_control.registry.robots import register_robot, revoke_robot, robot_as_json, robots_as_json
from reflex_control.sessions.life import end_those_of
from reflex_control.store.tables import robot

__all__ = ["ROBOT_OPERATIONS"]


def _register_robot(call: Call) -> dict[str, Any]:
    new: NewRobot = call.body
    return call.plane.create(
        call.who,
        call.repetition,
        lambda writing: register_robot(writing, new.name, new.robot_schema_id, new.robot_kind, new.calibration_id),
    )


def _list_robots(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return {"robots": robots_as_json(connection, call.who.organisation_id, call.plane.clock())}


def _get_robot(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        row = find(connection, robot, call.who.organisation_id, call.path["id"], what="robot")
        return robot_as_json(connection, row, call.plane.clock())


def _revoke_robot(call: Call) -> dict[str, Any]:
    with call.plane.writing(call.who) as writing:
        row = revoke_robot(writing, call.path["id"], call.body.reason)
        end_those_of(writing, "its robot was revoked", robot_id=row.id)
        return robot_as_json(writing.connection, row, writing.now_ms)


def _pair(call: Call) -> dict[str, Any]:
    lasts_s = call.body.ttl_seconds or DEFAULT_TTL_S

    def make(writing: Writing) -> dict[str, Any]:
        owner = writing.actor.organisation_id
        row = find(writing.connection, robot, owner, call.path["id"], what="robot")
        if row.revoked_at is not None:
            raise service_error("wrong_state", "this robot was revoked; register it anew")
        told, expires_at = make_token(writing.connection, owner, row.id, lasts_s, writing.now_ms)
        writing.receipt("pairing_token_created", Facts(robot_id=row.id))
        return {**told, "expiresAt": iso_of(expires_at)}

    return call.plane.create(call.who, call.repetition, make)


def _claim(call: Call) -> dict[str, Any]:
    token = call.body.token
    with call.plane.reading() as connection:
        # Nobody's token goes the same way, and finds nothing.
        owner = owner_of_token(connection, token)
    claimant = Actor("", "pairing token", owner or "", frozenset())

    def make(writing: Writing) -> dict[str, Any]:
        claimed = claim_token(writing.connection, token, writing.now_ms)
        writing.receipt("robot_paired", Facts(robot_id=claimed.robot.id, reason=claimed.key.id))
        return {
            "robotId": claimed.robot.id,
            "robotName": claimed.robot.name,
            "robotSchemaId": claimed.robot.robot_schema_id,
            "keyId": claimed.key.id,
            "key": claimed.key.secret,
            "organisationId": claimed.robot.organisation_id,
        }

    return call.plane.create(claimant, call.repetition if owner else None, make)


ROBOT_OPERATIONS: Final = (
    Operation("POST", "/v1/robots", "Register one machine of a schema", WRITE, _register_robot, objects.Robot,
              takes=NewRobot, status=201),
    Operation("GET", "/v1/robots", "Every robot, and whether it is paired and online", READ, _list_robots,
              objects.Robots),
    Operation("GET", "/v1/robots/{id}", "One robot", READ, _get_robot, objects.Robot),
    Operation("POST", "/v1/robots/{id}/revoke", "Take a robot out of service", WRITE, _revoke_robot, objects.Robot,
              takes=WithReason),
    Operation("POST", "/v1/robots/{id}/pairing-tokens", "Make a token by which the robot fetches its own key, once",
              WRITE, _pair, objects.PairingToken, takes=NewPairingToken, status=201),
    Operation("POST", "/v1/pairing-tokens/claim", "Exchange a pairing token for the robot's own key", PUBLIC, _claim,
              objects.Claim, takes=Claim, status=201, refuses=(401,)),
)  # fmt: skip
