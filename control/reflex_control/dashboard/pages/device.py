"""Confirming the code of a login that was begun elsewhere: by `reflex login`, or by another browser."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from reflex.errors import ServiceError
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.http.routes.device import DEVICE_PAGE, MAX_CODE_CHARACTERS
from reflex_control.identity.actor import SCOPES
from reflex_control.logins import BY_NAME, show_login

__all__ = ["DEVICE_PAGES"]

CONFIRM: Final = "/v1/device/confirm"
REFUSE: Final = "/v1/device/refuse"


def _show(visit: Visit, problem: ServiceError | None = None) -> Response:
    """What waits under the code that was typed, to be looked at before it is confirmed."""
    visit.who.require("admin")
    code = visit.query.get("code", "").strip()[:MAX_CODE_CHARACTERS]
    login = None if problem is not None or not code else show_login(visit.plane, visit.who, code)
    scopes = [(scope, scope not in BY_NAME) for scope in SCOPES if visit.may(scope)]
    return visit.page("device.html", problem=problem, code=code, login=login, scopes=scopes)


def _confirm(visit: Visit) -> Response:
    visit.ask("POST", CONFIRM, {"userCode": visit.form.text("userCode"), "scopes": visit.form.several("scopes")})
    return visit.go_to(f"{DEVICE_PAGE}?done=confirmed")


def _refuse(visit: Visit) -> Response:
    visit.ask("POST", REFUSE, {"userCode": visit.form.text("userCode")})
    return visit.go_to(f"{DEVICE_PAGE}?done=refused")


DEVICE_PAGES: Final = (
    Page("GET", DEVICE_PAGE, _show, problem_page=_show),
    Page("POST", DEVICE_PAGE, _confirm, problem_page=_show),
    Page("POST", f"{DEVICE_PAGE}/refuse", _refuse, problem_page=_show),
)
