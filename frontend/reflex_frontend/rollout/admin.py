"""The admin routes: changing the split and the policies of a running server. On loopback, on a port of their own.

    GET  /slots            what is served, and the split
    POST /split            {"split": 50}
    POST /slots/{slot}     {"policy": "NAME"}     answers when the new policy serves, or why it does not

Every request needs the token that the server wrote when it started, as `Authorization: Bearer`.
"""

from __future__ import annotations

import functools
import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from reflex.errors import ServiceError, SetupError, service_error
from reflex.wire import AUTHORIZATION_HEADER, SlotName, raw_name
from reflex_frontend.act.answer import error_response, json_response
from reflex_frontend.errors import TritonCallError
from reflex_frontend.exchange.routing import Router
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.rollout.rollout import Rollout

__all__ = ["Admin", "build_admin"]

AUTHORIZATION: Final = raw_name(AUTHORIZATION_HEADER)
MAX_BODY_BYTES: Final = 4096

log = logging.getLogger("reflex.admin")

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Admin:
    """What the routes change. `token` is compared as bytes, in constant time."""

    router: Router
    rollout: Rollout
    token: str
    on_split: Callable[[int], None] = lambda _split: None
    shadow: LoadedPolicy | None = None
    """Shown, and never changed."""


def build_admin(admin: Admin) -> Starlette:
    """An application of three routes. A request without the token learns nothing but that, not even which they are."""

    async def from_http(request: Request, exc: Exception) -> Response:
        return await _guarded(admin, functools.partial(_strange, cast("HTTPException", exc)))(request)

    app = Starlette(
        routes=[
            Route("/slots", _guarded(admin, _show), methods=["GET"]),
            Route("/split", _guarded(admin, _split), methods=["POST"]),
            Route("/slots/{slot}", _guarded(admin, _replace), methods=["POST"]),
        ],
        exception_handlers={HTTPException: from_http},
    )
    app.router.redirect_slashes = False
    return app


def _guarded(admin: Admin, endpoint: Callable[[Admin, Request], Awaitable[Response]]) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            _check_token(admin, request)
            return await endpoint(admin, request)
        except ServiceError as exc:
            return error_response(exc)
        except SetupError as exc:
            return error_response(service_error("conflict", str(exc)))
        except Exception:
            log.exception("an admin request failed")
            return error_response(service_error("internal", "the server failed on this request; it has been logged"))

    return answer


def _check_token(admin: Admin, request: Request) -> None:
    given = [value for name, value in request.scope["headers"] if name == AUTHORIZATION]
    wanted = f"Bearer {admin.token}".encode()
    if len(given) != 1 or not hmac.compare_digest(given[0], wanted):
        raise service_error("unauthorized", "send the token of this server's admin file as Authorization: Bearer")


async def _strange(problem: HTTPException, _admin: Admin, _request: Request) -> Response:
    code = "method_not_allowed" if problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED else "not_found"
    answer = error_response(service_error(code, "the admin routes are GET /slots, POST /split and POST /slots/a or b"))
    answer.headers.update(problem.headers or {})
    return answer


async def _show(admin: Admin, _request: Request) -> Response:
    return json_response(_slots(admin))


async def _split(admin: Admin, request: Request) -> Response:
    split = (await _fields(request)).get("split")
    if not isinstance(split, int) or isinstance(split, bool) or not 0 <= split <= 100:
        raise service_error(
            "wrong_type", "split is a whole number of percent from 0 to 100", context={"field": "split"}
        )
    if not admin.router.has_two:
        raise SetupError("this server has one policy; start it with --policy-a and --policy-b")
    log.warning("split changed", extra={"was": admin.router.split, "is": split})
    admin.router.split = split
    admin.on_split(split)
    return json_response(_slots(admin))


async def _replace(admin: Admin, request: Request) -> Response:
    policy = (await _fields(request)).get("policy")
    if not isinstance(policy, str) or not policy:
        raise service_error("missing_field", "policy is the name of one in the repository", context={"field": "policy"})
    slot: str = request.path_params["slot"]
    if slot not in ("a", "b"):
        raise service_error("not_found", "the slots are a and b")
    name: SlotName = "a" if slot == "a" else "b"
    try:
        await admin.rollout.replace(name, policy)
    except (TritonCallError, ValueError) as exc:
        raise SetupError(f"policy {policy!r} cannot be served: {exc}") from exc
    return json_response(_slots(admin))


async def _fields(request: Request) -> dict[str, Any]:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise service_error("payload_too_large", "an admin request has a few bytes")
    except ClientDisconnect:
        raise service_error("request_timeout", "the request did not arrive whole") from None
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise service_error("invalid_json", "the body must be JSON") from None
    if not isinstance(fields, dict):
        raise service_error("wrong_type", "the body must be a JSON object", context={"field": "body"})
    return fields


def _slots(admin: Admin) -> dict[str, Any]:
    slots = {name: _shown(slot.loaded) for name, slot in admin.router.slots.items()}
    shadow = {} if admin.shadow is None else {"shadow": _shown(admin.shadow)}
    return {"split": admin.router.split, "slots": slots, **shadow}


def _shown(loaded: LoadedPolicy) -> dict[str, str | None]:
    status, reason = loaded.vitals.status()
    return {"model_version": loaded.policy.config.model_version, "status": status, "reason": reason}
