"""Sessions: who drives which robot, watched while it does, promoted, closed and taken over."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from reflex.errors import ServiceError, service_error
from reflex_control.dashboard.looking_up import deployments_of, names_of, robots_of
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.http.routes.events import EventStream
from reflex_control.receipting import newest_receipts
from reflex_control.sessions.life import ended_sessions, live_sessions, session_as_json
from reflex_control.sessions.watching import heartbeats_of

__all__ = ["SESSION_PAGES"]

ENDED_SHOWN: Final = 50
RECEIPTS_SHOWN: Final = 50
PROMOTE: Final = "/v1/sessions/{id}/promote"
CLOSE: Final = "/v1/sessions/{id}/close"
AUTHORIZE: Final = "/v1/sessions"
OVER: Final = ("closed", "expired")


def _list(visit: Visit) -> Response:
    visit.who.require("read")
    names = names_of(robots_of(visit)) | names_of(deployments_of(visit))
    with visit.plane.reading() as connection:
        live = [session_as_json(each) for each in live_sessions(connection, visit.owner)]
        ended = [session_as_json(each) for each in ended_sessions(connection, visit.owner, ENDED_SHOWN)]
    return visit.page("sessions.html", live=live, ended=ended, names=names, ended_shown=ENDED_SHOWN)


def _show(visit: Visit, problem: ServiceError | None = None) -> Response:
    session = _session(visit)
    with visit.plane.reading() as connection:
        heartbeats = heartbeats_of(connection, visit.owner, session["id"])
        receipts = newest_receipts(connection, visit.owner, session_id=session["id"], limit=RECEIPTS_SHOWN)
    is_live, identity = session["status"] not in OVER, session["id"]
    return visit.page(
        "session.html", problem=problem, session=session, robot=_robot(visit, session), heartbeats=heartbeats,
        deployment=visit.ask("GET", "/v1/deployments/{id}", id=session["deploymentId"]), receipts=receipts,
        failed=[] if problem is None else problem.context.get("checks", []), is_live=is_live,
        can_promote=is_live and session["mode"] == "dry_run" and visit.offers("POST", PROMOTE, id=identity),
        can_close=is_live and visit.offers("POST", CLOSE, id=identity),
        can_take_over=is_live and visit.offers("POST", AUTHORIZE),
    )  # fmt: skip


def _promote(visit: Visit) -> Response:
    """Whoever lets a robot move has typed which one."""
    robot = _robot(visit, _session(visit))
    if visit.form.text("robot") != robot["name"].strip():
        raise service_error(
            "invalid_value", "that is not the name of this session's robot; nothing was promoted",
            context={"field": "robot"},
        )  # fmt: skip
    return _done(visit, "promoted", PROMOTE, {"mode": "apply_actions"})


def _close(visit: Visit) -> Response:
    return _done(visit, "closed", CLOSE, {"reason": visit.form.optional("reason")})


def _take_over(visit: Visit) -> Response:
    """The same robot and deployment, with whoever is here as the driver."""
    session = _session(visit)
    reason = visit.form.text("reason")
    grant = visit.ask(
        "POST", AUTHORIZE, {"deploymentId": session["deploymentId"], "robotId": session["robotId"],
                            "takeOver": {"reason": reason, "sessionId": session["id"]}},
    )  # fmt: skip
    return visit.page("granted.html", grant=grant, robot=_robot(visit, session))


def _done(visit: Visit, what: str, path: str, body: dict[str, Any]) -> Response:
    identity = visit.path["id"]
    visit.ask("POST", path, body, id=identity)
    return visit.go_to(f"/sessions/{identity}?done={what}")


def _session(visit: Visit) -> Any:  # noqa: ANN401 - of the wire
    return visit.ask("GET", "/v1/sessions/{id}", id=visit.path["id"])


def _robot(visit: Visit, session: dict[str, Any]) -> Any:  # noqa: ANN401 - of the wire
    return visit.ask("GET", "/v1/robots/{id}", id=session["robotId"])


def _live(visit: Visit) -> Any:  # noqa: ANN401 - a response that goes on
    """The stream of events of the API, for a browser, which can send no key with it; it ends with the sign-in."""
    visit.who.require("read")
    stream: EventStream = visit.ask("GET", "/v1/events")
    stream.holds = lambda: visit.sign_in is not None and visit.sign_ins.holds(visit.sign_in)
    return stream


SESSION_PAGES: Final = (
    Page("GET", "/sessions", _list),
    Page("GET", "/sessions/{id}", _show),
    Page("POST", "/sessions/{id}/promote", _promote, problem_page=_show),
    Page("POST", "/sessions/{id}/close", _close, problem_page=_show),
    Page("POST", "/sessions/{id}/take-over", _take_over, problem_page=_show),
    Page("GET", "/live", _live),
)
