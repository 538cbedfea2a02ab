"""The FastAPI application: its routes, one envelope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import reflex
from reflex.errors import NO_SUCH_ROUTE, ServiceError, service_error
from reflex.serving.hosts import AllowedHosts
from reflex.wire import ANSWER_HEADERS, ORIGIN_HEADER, PAGE_HEADERS, raw_name
from reflex_frontend.act.act import ActService
from reflex_frontend.act.answer import JSON, error_response, json_response
from reflex_frontend.http.config import configs_of
from reflex_frontend.http.endpoint import ActEndpoint
from reflex_frontend.http.health import health_of
from reflex_frontend.http.openapi import document_routes
from reflex_frontend.http.pages import page_routes
from reflex_frontend.observing.metrics import CONTENT_TYPE
from reflex_frontend.settings import Settings
from reflex_frontend.streams.metadata import metadatas_of

__all__ = ["CORRECT", "Server", "build_app", "front_door"]

CORRECT: Final = "/act/correct"
ORIGIN: Final = raw_name(ORIGIN_HEADER)
CODE_OF_STATUS: Final = {404: "not_found", 405: "method_not_allowed"}
MESSAGE_OF_CODE: Final = {
    "not_found": NO_SUCH_ROUTE,
    "method_not_allowed": "this route does not take that method; see /openapi.json",
}


@dataclass(frozen=True)
class Server:
    """What the routes show: the policies behind one Triton."""

    service: ActService
    settings: Settings
    triton_restarts: Callable[[], int] = lambda: 0


def build_app(server: Server) -> FastAPI:
    """An application without state of its own; everything lives in `server`, whose owner starts and stops it."""
    app = FastAPI(title="Reflex", version=reflex.__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.router.routes.append(Route("/act", ActEndpoint(server.service)))
    app.router.routes.append(Route(CORRECT, ActEndpoint(server.service).of_corrections()))
    app.router.routes.extend(page_routes())
    _add_observability(app, server)
    _add_envelope(app)
    document_routes(app, server.service.router.first.loaded.policy, corrects=server.service.corrector is not None)
    _serve_rendered_once(app)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(server.settings.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=[name.lower() for name in PAGE_HEADERS],
        expose_headers=[name.lower() for name in ANSWER_HEADERS],
        allow_credentials=False,
        # A page of the internet reaches a server on a private network only where its origin was named.
        allow_private_network="*" not in server.settings.cors_origins,
    )
    return app


def front_door(app: FastAPI, act: ActEndpoint, hosts: AllowedHosts, streams: ASGIApp | None = None) -> ASGIApp:
    """`app` for callers by a known name; a plain request of /act does not pass the framework's layers of middleware.

    Nor does one of /act/correct. A browser's request has an Origin header and takes the whole way, where CORS is.
    `streams` takes WebSockets.
    """

    endpoints = {"/act": act, CORRECT: act.of_corrections()}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            other = app if streams is None or scope["type"] != "websocket" else streams
            await other(scope, receive, send)
            return
        try:
            hosts.check(scope["headers"])
        except ServiceError as exc:
            refusal = error_response(exc)
            if scope["path"] == "/act":
                refusal.headers.update(act.unread_headers())
            await refusal(scope, receive, send)
            return
        plain = endpoints.get(scope["path"])
        if plain is not None and not any(name == ORIGIN for name, _ in scope["headers"]):
            await plain(scope, receive, send)
        else:
            await app(scope, receive, send)

    return serve


def _serve_rendered_once(app: FastAPI) -> None:
    """FastAPI would serialise its schema anew for every request."""
    body = orjson.dumps(app.openapi())

    async def answer(_request: Request) -> Response:
        return Response(body, media_type=JSON)

    app.router.routes.insert(0, Route("/openapi.json", answer, methods=["GET"]))


def _add_observability(app: FastAPI, server: Server) -> None:
    async def health(_request: Request) -> Response:
        status, body = health_of(server.service, server.settings.robot_id)
        return json_response(body, status, {} if status == 200 else {"retry-after": "1"})

    async def live(_request: Request) -> Response:
        return json_response({"status": "live"})

    async def config(request: Request) -> Response:
        await server.service.check_reader(request.scope["headers"])
        return Response(configs_of(server.service.router, server.service.device), media_type=JSON)

    async def metrics(_request: Request) -> Response:
        return Response(_exposition(server), media_type=CONTENT_TYPE)

    async def actions_metadata(request: Request) -> Response:
        await server.service.check_reader(request.scope["headers"])
        return json_response(metadatas_of(server.service.router))

    routes = {
        "/health": health, "/health/live": live, "/config": config, "/v1/actions/metadata": actions_metadata,
        "/metrics": metrics,
    }  # fmt: skip
    app.router.routes.extend(Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items())


def _exposition(server: Server) -> bytes:
    service = server.service
    for name, slot in service.router.slots.items():
        counts = service.metrics.of_slot(name)
        counts.in_flight.set(slot.loaded.admission.in_flight)
        counts.breaker_open.set(slot.loaded.vitals.breaker.is_open)
        if slot.slo is not None:
            counts.show_slo(slot.slo)
    service.metrics.split.set(service.router.split)
    for observer in service.observers:
        service.metrics.show(observer.gauges())
    if service.tracing is not None:
        service.metrics.traces_dropped.set(service.tracing.sink.dropped)
    service.metrics.keys_stale.set(service.keys is not None and service.keys.stale is not None)
    service.metrics.sessions_stale.set(service.sessions is not None and service.sessions.stale is not None)
    service.metrics.triton_restarts.set(server.triton_restarts())
    if service.prefixes is not None:
        service.prefixes.forget_expired()
        service.metrics.prefixes.show(service.prefixes.kept_bytes, service.prefixes.evicted_total)
    return service.metrics.exposition()


def _add_envelope(app: FastAPI) -> None:
    async def from_http(_request: Request, exc: Exception) -> Response:
        status = exc.status_code if isinstance(exc, HTTPException) else 500
        code = CODE_OF_STATUS.get(status, "internal")
        headers = dict(exc.headers or {}) if isinstance(exc, HTTPException) else {}
        answer = error_response(service_error(code, MESSAGE_OF_CODE.get(code, "the server failed on this request")))
        answer.headers.update(headers)
        return answer

    async def from_validation(_request: Request, _exc: Exception) -> Response:
        # FastAPI's own handler echoes the input, and fails on input that is no JSON.
        return error_response(service_error("wrong_type", "a parameter has the wrong type; see /openapi.json"))

    async def from_bug(_request: Request, _exc: Exception) -> Response:
        return error_response(service_error("internal", "the server failed on this request; it has been logged"))

    async def from_service(_request: Request, exc: Exception) -> Response:
        return error_response(cast("ServiceError", exc))

    app.add_exception_handler(HTTPException, from_http)
    app.add_exception_handler(ServiceError, from_service)
    app.add_exception_handler(RequestValidationError, from_validation)
    app.add_exception_handler(Exception, from_bug)
