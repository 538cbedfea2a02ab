"""Signing in, with a key or by a code that somebody confirms elsewhere, and signing out."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.responses import Response

from reflex.errors import ServiceError, service_error
from reflex_control.dashboard.cookies import LOGIN_COOKIE, SIGN_IN_COOKIE, drop_cookie, set_cookie
from reflex_control.dashboard.sign_ins import LASTS_MS
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import authenticate, end_key_at, key_of
from reflex_control.moments import MINUTE_MS, SECOND_MS

__all__ = ["SIGN_IN_PAGES"]

PLACE: Final = re.compile(r"/(?:[A-Za-z0-9_-][A-Za-z0-9_/-]*)?(?:\?[A-Za-z0-9_.=&%-]*)?", re.ASCII)
"""A page of this dashboard: never another site's."""
UNAUTHORIZED: Final = 401
NOT_YET: Final = (428, 429)
REFUSED: Final = "this key was not accepted: it is mistyped, revoked or expired, or of another control plane"
A_ROBOTS: Final = "this is a robot's own key, which sees nothing here; sign in with a key of yours"


def _show(visit: Visit, problem: ServiceError | None = None) -> Response:
    to = _place(visit.query.get("next", "") or visit.form.text("next"))
    if visit.actor is not None:
        return visit.go_to(to)
    return visit.page("sign_in.html", problem=problem, next=to, lasts_h=LASTS_MS // (60 * MINUTE_MS))


def _sign_in(visit: Visit) -> Response:
    try:
        actor = authenticate(visit.plane.database, visit.form.text("key").encode(), visit.plane.clock())
    except ServiceError as exc:
        raise service_error("unauthorized", REFUSED) if exc.status == UNAUTHORIZED else exc from None
    if actor.robot_id is not None:
        raise service_error("forbidden", A_ROBOTS)
    return _welcome(visit, actor, by_code=False)


def _welcome(visit: Visit, actor: Actor, *, by_code: bool) -> Response:
    cookie = visit.sign_ins.cookie_of(visit.sign_ins.begin(actor.key_id, by_code=by_code))
    answer = visit.go_to(_place(visit.form.text("next")))
    set_cookie(answer, SIGN_IN_COOKIE, cookie, is_https=visit.is_https, lasts_s=LASTS_MS // SECOND_MS)
    return answer


def _sign_out(visit: Visit) -> Response:
    """A key that was made for this browser alone goes with it; the last admin's is refused."""
    if visit.sign_in is not None:
        if visit.sign_in.by_code:
            visit.ask("POST", "/v1/keys/{id}/revoke", {"reason": "signed out"}, id=visit.sign_in.key_id)
        visit.sign_ins.end(visit.sign_in)
    answer = visit.go_to("/sign-in?done=signed-out")
    drop_cookie(answer, SIGN_IN_COOKIE)
    return answer


def _start(visit: Visit) -> Response:
    begun = visit.ask("POST", "/v1/device/start", {"clientName": "dashboard"})
    answer = _show_code(visit, begun, None)
    set_cookie(answer, LOGIN_COOKIE, visit.sign_ins.seal("login", dict(begun)), is_https=visit.is_https)
    return answer


def _finish(visit: Visit) -> Response:
    begun = visit.sign_ins.unseal("login", visit.cookies.get(LOGIN_COOKIE, ""))
    if begun is None:
        raise service_error("wrong_state", "no code was asked for by this browser; ask for a new one")
    try:
        given = visit.ask("POST", "/v1/device/token", {"deviceCode": begun["deviceCode"]})
    except ServiceError as exc:
        if exc.status not in NOT_YET:
            raise
        return _show_code(visit, begun, exc)
    actor = authenticate(visit.plane.database, given["key"].encode(), visit.plane.clock())
    with visit.plane.writing(actor) as writing:
        # Nobody knows its secret: after the cookie it would be a key that counts, an admin's maybe, and opens nothing.
        row = key_of(writing.connection, actor.organisation_id, actor.key_id)
        end_key_at(writing.connection, row, writing.now_ms + LASTS_MS)
    answer = _welcome(visit, actor, by_code=True)
    drop_cookie(answer, LOGIN_COOKIE)
    return answer


def _show_code(visit: Visit, begun: Any, problem: ServiceError | None) -> Response:  # noqa: ANN401 - of the wire
    return visit.page("sign_in_code.html", problem=problem, begun=begun, next=_place(visit.form.text("next")))


def _place(given: str) -> str:
    return given if PLACE.fullmatch(given) else "/"


def _show_problem(visit: Visit, problem: ServiceError) -> Response:
    return _show(visit, problem)


SIGN_IN_PAGES: Final = (
    Page("GET", "/sign-in", _show, is_open=True),
    Page("POST", "/sign-in", _sign_in, is_open=True, takes_guesses=True, problem_page=_show_problem),
    Page("POST", "/sign-in/code", _start, is_open=True, problem_page=_show_problem),
    Page("POST", "/sign-in/code/finish", _finish, is_open=True, problem_page=_show_problem),
    Page("POST", "/sign-out", _sign_out, is_open=True),
)
