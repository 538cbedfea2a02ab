"""The pages as routes: who visits, whether a form is this browser's own, and a refusal as a page."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from reflex.errors import ServiceError, service_error
from reflex.wire import RETRY_AFTER_HEADER, retry_after_header
from reflex_control.dashboard.cookies import SIGN_IN_COOKIE, VISITOR_COOKIE, drop_cookie, set_cookie
from reflex_control.dashboard.forms import EMPTY, Form, check_origin, read_form
from reflex_control.dashboard.page_files import file_routes
from reflex_control.dashboard.pages.datasets import DATASET_PAGES
from reflex_control.dashboard.pages.deployments import DEPLOYMENT_PAGES
from reflex_control.dashboard.pages.device import DEVICE_PAGES
from reflex_control.dashboard.pages.keys import KEY_PAGES
from reflex_control.dashboard.pages.overview import OVERVIEW_PAGES
from reflex_control.dashboard.pages.receipts import RECEIPT_PAGES
from reflex_control.dashboard.pages.robots import ROBOT_PAGES
from reflex_control.dashboard.pages.sessions import SESSION_PAGES
from reflex_control.dashboard.pages.signing_in import SIGN_IN_PAGES
from reflex_control.dashboard.pages.training import TRAINING_PAGES
from reflex_control.dashboard.rendering import PAGE_SAFETY
from reflex_control.dashboard.sign_ins import SignIn, SignIns
from reflex_control.dashboard.visit import SEE_OTHER, Page, Visit, table_of
from reflex_control.http.app import OPERATIONS
from reflex_control.http.callers import Callers
from reflex_control.http.endpoint import ACTOR, check_path, last_event_id
from reflex_control.http.front_door import ROUTE
from reflex_control.identity.actor import Actor
from reflex_control.identity.keys import recall
from reflex_control.plane import Plane
from reflex_control.rate_limits import RateLimits

__all__ = ["PAGES", "add_dashboard"]

PAGES: Final[Sequence[Page]] = (
    *SIGN_IN_PAGES, *OVERVIEW_PAGES, *DEPLOYMENT_PAGES, *SESSION_PAGES, *ROBOT_PAGES, *DATASET_PAGES, *TRAINING_PAGES,
    *RECEIPT_PAGES, *KEY_PAGES, *DEVICE_PAGES,
)  # fmt: skip
UNAUTHORIZED: Final = 401
GUESSES_PER_S: Final = 1 / 6
GUESSES_AT_ONCE: Final = 10
OLD_FORM: Final = "this form is not from a page that you opened just now; go back, reload it, and try again"
TOO_MANY: Final = "too many keys or codes from this address were wrong; wait a little, then try again"


def add_dashboard(app: FastAPI, plane: Plane, limits: RateLimits, callers: Callers) -> None:
    """Add the pages, which may ask as much as their key may."""
    site = _Site(plane, limits, callers)
    for page in PAGES:
        app.router.routes.append(Route(page.path, site.of(page), methods=[page.method]))
    app.router.routes.extend(file_routes())


class _Site:
    def __init__(self, plane: Plane, limits: RateLimits, callers: Callers) -> None:
        self._plane, self._limits, self._callers = plane, limits, callers
        self._operations = table_of(OPERATIONS)
        self._guesses = RateLimits(GUESSES_PER_S, burst=GUESSES_AT_ONCE, refusal=TOO_MANY)
        self._sign_ins = SignIns(plane)

    def of(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Nothing that waits for the store runs on the event loop."""

        async def answer(request: Request) -> Response:
            request.scope[ROUTE] = page.path
            form: Form | ServiceError = EMPTY
            if page.method == "POST":
                try:
                    check_origin(request.scope["headers"], self._callers.origin_of(request))
                    form = await read_form(request)
                except ServiceError as exc:
                    form = exc
            return await run_in_threadpool(self._answer, page, request, form)

        return answer

    def _answer(self, page: Page, request: Request, form: Form | ServiceError) -> Response:
        sign_in, actor = self._recognise(request)
        visitor = request.cookies.get(VISITOR_COOKIE) or secrets.token_urlsafe(18)
        own = self._callers.origin_of(request)
        visit = Visit(
            self._plane, self._operations, self._sign_ins, visitor if sign_in is None else sign_in.id, sign_in, actor,
            request.url.path, request.path_params, dict(request.query_params), request.cookies,
            EMPTY if isinstance(form, ServiceError) else form, last_event_id(request),
            self._callers.address_of(request), own, _is_https(own, request.headers.get("origin", "")),
        )  # fmt: skip
        try:
            self._check(page, request, visit, form)
            answer = self._show(page, request, visit)
        except ServiceError as exc:
            answer = _with_patience(_problem_page(visit, exc), exc)
        if sign_in is None and VISITOR_COOKIE not in request.cookies:
            set_cookie(answer, VISITOR_COOKIE, visitor, is_https=visit.is_https)
        return answer

    def _recognise(self, request: Request) -> tuple[SignIn | None, Actor | None]:
        sign_in = self._sign_ins.read(request.cookies.get(SIGN_IN_COOKIE, ""))
        if sign_in is None:
            return None, None
        try:
            actor = recall(self._plane.database, sign_in.key_id, self._plane.clock())
        except ServiceError as exc:
            if exc.status != UNAUTHORIZED:  # the store's trouble, for example, signs nobody out
                raise
            return None, None
        request.scope[ACTOR] = actor
        return sign_in, actor

    def _check(self, page: Page, request: Request, visit: Visit, form: Form | ServiceError) -> None:
        """`ServiceError` for what is refused whatever the page is."""
        if isinstance(form, ServiceError):
            raise form
        if visit.actor is None:
            self._callers.admit(request)
        else:
            self._limits.take(visit.actor.key_id)
        is_known = visit.actor is not None or page.is_open
        if page.method == "POST" and is_known and not self._is_own(visit):
            raise service_error("forbidden", OLD_FORM)
        check_path(visit.path)

    def _is_own(self, visit: Visit) -> bool:
        return self._sign_ins.is_form_token(visit.subject, visit.form.text("token"))

    def _show(self, page: Page, request: Request, visit: Visit) -> Response:
        """The page, or what was refused on it beside the form."""
        if visit.actor is None and not page.is_open:
            return _to_sign_in(request)
        try:
            return self._counted(page, visit)
        except ServiceError as exc:
            return _with_patience((page.problem_page or _problem_page)(visit, exc), exc)

    def _counted(self, page: Page, visit: Visit) -> Response:
        """Of whoever is not known, what is refused is counted."""
        if not page.takes_guesses:
            return page.run(visit)
        self._guesses.take(visit.address)
        answer = page.run(visit)
        self._guesses.give_back(visit.address)
        return answer


def _problem_page(visit: Visit, error: ServiceError) -> Response:
    return visit.page("problem.html", problem=error)


def _with_patience(answer: Response, error: ServiceError) -> Response:
    """What may be tried again, and when."""
    if error.retry_after_s is not None:
        answer.headers[RETRY_AFTER_HEADER] = retry_after_header(error.retry_after_s)
    return answer


def _to_sign_in(request: Request) -> Response:
    """And back to where it was going, where that is a page; a form that was sent is not sent again."""
    is_page = request.method == "GET"
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    ended = "&done=ended" if SIGN_IN_COOKIE in request.cookies else ""
    to = f"/sign-in?next={quote(target if is_page else '/', safe='')}{ended}"
    answer = RedirectResponse(to, SEE_OTHER, PAGE_SAFETY)
    if SIGN_IN_COOKIE in request.cookies:
        drop_cookie(answer, SIGN_IN_COOKIE)
    return answer


def _is_https(own: str, origin: str) -> bool:
    """By its proxy's word or by the page's own: who lies about that only makes their own cookie stricter."""
    return own.startswith("https:") or origin.startswith("https:")
