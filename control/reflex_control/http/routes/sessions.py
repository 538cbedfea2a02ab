"""Sessions and heartbeats over HTTP."""

from __future__ import annotations

from typing import Any, Final

from reflex.control import objects
from reflex_control.http.operation import Call, Needs, Operation
from reflex_control.http.routes.registry import READ
from reflex_control.http.routes.session_bodies import Closing, NewSession, Promotion, Report, SafeStop, SessionQuery
from reflex_control.registry.deployments import act_urls
from reflex_control.sessions.authorizing import Wish, authorize
from reflex_control.sessions.beating import beat, close_session, note_safe_stop
from reflex_control.sessions.life import find_session, session_as_json, sessions_of
from reflex_control.sessions.promoting import promote_session

__all__ = ["SESSION_OPERATIONS"]

DRIVER: Final = Needs(("sessions",), any_robot=True)
"""Which robot's key it is, and whether the session is its own, is looked at with the session."""
PROMOTER: Final = Needs.scope("promote")
HEART: Final = Needs(("sessions",), own_robot=True)


def _authorize(call: Call) -> dict[str, Any]:
    new: NewSession = call.body
    wish = Wish(
        robot_id=new.robot_id, deployment_id=new.deployment_id, artifact_id=new.artifact_id,
        base_model=new.base_model, act_urls=() if new.runtime is None else tuple(act_urls(new.runtime)), mode=new.mode,
        client_session_id=new.client_session_id, max_seconds=new.max_seconds,
        take_over_reason=None if new.take_over is None else new.take_over.reason,
        take_over_from=None if new.take_over is None else new.take_over.session_id,
    )  # fmt: skip
    return call.plane.create(call.who, call.repetition, lambda writing: authorize(writing, wish))


def _list(call: Call) -> dict[str, Any]:
    query: SessionQuery = call.query
    with call.plane.reading() as connection:
        found = sessions_of(
            connection, call.who.organisation_id, query.status, after=query.after, limit=query.limit + 1
        )  # one more than is shown: whether there is a next page
    shown = found[: query.limit]
    next_after = shown[-1].row.id if len(found) > len(shown) else None
    return {"sessions": [session_as_json(each) for each in shown], "nextAfter": next_after}


def _get(call: Call) -> dict[str, Any]:
    with call.plane.reading() as connection:
        return session_as_json(find_session(connection, call.who.organisation_id, call.path["id"]))


def _promote(call: Call) -> dict[str, Any]:
    with call.plane.writing(call.who) as writing:
        return session_as_json(promote_session(writing, call.path["id"]))


def _close(call: Call) -> dict[str, Any]:
    with call.plane.writing(call.who) as writing:
        return session_as_json(close_session(writing, call.path["id"], call.body.reason))


def _safe_stop(call: Call) -> dict[str, Any]:
    with call.plane.writing(call.who) as writing:
        return session_as_json(note_safe_stop(writing, call.path["id"], call.body.reason))


def _beat(call: Call) -> dict[str, Any]:
    with call.plane.writing(call.who) as writing:
        return beat(writing, call.path["id"], call.body.model_dump())


SESSION_OPERATIONS: Final = (
    Operation("POST", "/v1/sessions", "Authorize one robot to be driven by one deployment, in dry_run", DRIVER,
              _authorize, objects.Grant, takes=NewSession, status=201),
    Operation("GET", "/v1/sessions", "Every session, of one status if named", READ, _list, objects.Sessions,
              asks=SessionQuery),
    Operation("GET", "/v1/sessions/{id}", "One session", READ, _get, objects.Session),
    Operation("POST", "/v1/sessions/{id}/promote", "Let the session's actions move the robot", PROMOTER, _promote,
              objects.Session, takes=Promotion),
    Operation("POST", "/v1/sessions/{id}/close", "End a session", DRIVER, _close, objects.Session, takes=Closing),
    Operation("POST", "/v1/sessions/{id}/safe-stop", "Report that the robot was brought to its safe state", DRIVER,
              _safe_stop, objects.Session, takes=SafeStop),
    Operation("POST", "/v1/robots/{id}/heartbeat", "Report that a robot is there; renews its session", HEART, _beat,
              objects.HeartbeatAnswer, takes=Report),
)  # fmt: skip
