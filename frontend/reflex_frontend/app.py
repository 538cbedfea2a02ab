"""The FastAPI application: four routes, one envelope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

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
from reflex.errors import service_error
from reflex.policy_config import PolicyConfig
from reflex_frontend.act import ActService
from reflex_frontend.answer import JSON, error_response, json_response
from reflex_frontend.endpoint import ActEndpoint
from reflex_frontend.metrics import CONTENT_TYPE
from reflex_frontend.openapi import document_routes
from reflex_frontend.settings import Settings

__all__ = ["Server", "build_app", "bypass_for_act"]

CODE_OF_STATUS: Final = {404: "not_found", 405: "method_not_allowed"}
MESSAGE_OF_CODE: Final = {
    "not_found": "there is no such route; see /openapi.json",
    "method_not_allowed": "this route does not take that method; see /openapi.json",
}


@dataclass(frozen=True)
class Server:
    """What the routes show: one policy behind one Triton."""

    service: ActService
    settings: Settings
    triton_restarts: Callable[[], int] = lambda: 0


def build_app(server: Server) -> FastAPI:
    """An application without state of its own; everything lives in `server`, whose owner starts and stops it."""
    app = FastAPI(title="Reflex", version=reflex.__version__, docs_url="/docs", redoc_url=None, redirect_slashes=False)
    app.router.routes.append(Route("/act", ActEndpoint(server.service)))
    _add_observability(app, server)
    _add_envelope(app)
    document_routes(app, server.service.policy)
    _serve_rendered_once(app, server.service.policy.config)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(server.settings.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["content-type", "x-reflex-deadline-ms"],
        expose_headers=["retry-after"],
        allow_credentials=False,
    )
    return app


def bypass_for_act(app: FastAPI, act: ActEndpoint) -> ASGIApp:
    """`app`, but a plain request of /act does not pass through the framework's seven layers of middleware.

    A browser's request has an Origin header and takes the whole way, where CORS is.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        is_plain_act = scope["type"] == "http" and scope["path"] == "/act"
        if is_plain_act and not any(name == b"origin" for name, _ in scope["headers"]):
            await act(scope, receive, send)
        else:
            await app(scope, receive, send)

    return serve


def _serve_rendered_once(app: FastAPI, config: PolicyConfig) -> None:
    """What never changes is rendered at the start: FastAPI would serialise its schema anew for every request."""
    documents = {"/openapi.json": orjson.dumps(app.openapi()), "/config": config.model_dump_json().encode()}
    for path, body in documents.items():
        app.router.routes.insert(0, Route(path, _constant(body), methods=["GET"]))


def _constant(body: bytes) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return Response(body, media_type=JSON)

    return answer


def _add_observability(app: FastAPI, server: Server) -> None:
    service = server.service

    async def health(_request: Request) -> Response:
        status, body = _health(server)
        return json_response(body, status, {} if status == 200 else {"retry-after": "1"})

    async def live(_request: Request) -> Response:
        return json_response({"status": "live"})

    async def metrics(_request: Request) -> Response:
        service.metrics.in_flight.set(service.admission.in_flight)
        service.metrics.breaker_open.set(service.vitals.breaker.is_open)
        service.metrics.triton_restarts.set(server.triton_restarts())
        return Response(service.metrics.exposition(), media_type=CONTENT_TYPE)

    routes = {"/health": health, "/health/live": live, "/metrics": metrics}
    app.router.routes.extend(Route(path, endpoint, methods=["GET"]) for path, endpoint in routes.items())


def _health(server: Server) -> tuple[int, dict[str, Any]]:
    service = server.service
    status, reason = service.vitals.status()
    body: dict[str, Any] = {
        "status": status,
        "model_loaded": service.vitals.warming_reason is None,
        "model_version": service.policy.config.model_version,
        "inference_mode": service.policy.config.inference_mode,
        "uptime_seconds": round(service.vitals.uptime_s, 3),
        "robot_id": server.settings.robot_id,
        "cuda_graphs_active": False,
    }
    if reason is not None:
        body["reason"] = reason
    return (200 if status == "ready" else 503), body


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

    app.add_exception_handler(HTTPException, from_http)
    app.add_exception_handler(RequestValidationError, from_validation)
    app.add_exception_handler(Exception, from_bug)
