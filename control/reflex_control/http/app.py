"""The application: the operations as routes, what watches the server, and one error envelope for all of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, cast

import orjson
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import reflex
from reflex.errors import ServiceError, service_error
from reflex_control.http.answering import JSON, error_response, json_response
from reflex_control.http.callers import Callers
from reflex_control.http.endpoint import Endpoints
from reflex_control.http.front_door import REQUEST_ID, ROUTE
from reflex_control.http.metrics import Metrics
from reflex_control.http.openapi import document_of
from reflex_control.http.operation import Operation
from reflex_control.http.routes.device import DEVICE_OPERATIONS
from reflex_control.http.routes.events import EVENT_OPERATIONS
from reflex_control.http.routes.keys import KEY_OPERATIONS
from reflex_control.http.routes.receipts import RECEIPT_OPERATIONS
from reflex_control.http.routes.registry import REGISTRY_OPERATIONS
from reflex_control.http.routes.robots import ROBOT_OPERATIONS
from reflex_control.http.routes.sessions import SESSION_OPERATIONS
from reflex_control.plane import Plane
from reflex_control.rate_limits import RateLimits
from reflex_control.store.tables import organisation

__all__ = ["OPERATIONS", "build_app"]

OPERATIONS: Final[Sequence[Operation]] = (
    *KEY_OPERATIONS,
    *DEVICE_OPERATIONS,
    *REGISTRY_OPERATIONS,
    *ROBOT_OPERATIONS,
    *SESSION_OPERATIONS,
    *EVENT_OPERATIONS,
    *RECEIPT_OPERATIONS,
)  # fmt: skip
CODE_OF_STATUS: Final = {404: "not_found", 405: "method_not_allowed"}
MESSAGE_OF_CODE: Final = {
    "not_found": "there is no such route; see /openapi.json",
    "method_not_allowed": "this route does not take that method; see /openapi.json",
}

Handler = Callable[[Request], Awaitable[Response]]


def build_app(
    plane: Plane,
    limits: RateLimits,
    metrics: Metrics,
    operations: Sequence[Operation] = OPERATIONS,
    callers: Callers | None = None,
) -> FastAPI:
    """An application without state of its own."""
    app = FastAPI(title="Reflex control plane", version=reflex.__version__, docs_url=None, redoc_url=None,
                  openapi_url=None, redirect_slashes=False)  # fmt: skip
    endpoints = Endpoints(plane, limits, callers or Callers())
    for operation in operations:
        handler = _named(operation.path, endpoints.of(operation))
        app.router.routes.append(Route(operation.path, handler, methods=[operation.method]))
    document = orjson.dumps(document_of(operations))
    for path, handler in _watching(plane, metrics, document).items():
        app.router.routes.append(Route(path, _named(path, handler), methods=["GET"]))
    app.add_exception_handler(HTTPException, _from_http)
    app.add_exception_handler(ServiceError, _from_service)
    return app


def _watching(plane: Plane, metrics: Metrics, document: bytes) -> dict[str, Handler]:
    async def health(_request: Request) -> Response:
        await run_in_threadpool(_look_into, plane)
        return json_response({"status": "ready"})

    async def live(_request: Request) -> Response:
        return json_response({"status": "live"})

    async def counts(_request: Request) -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    async def openapi(_request: Request) -> Response:
        return Response(document, media_type=JSON)

    return {"/health": health, "/health/live": live, "/metrics": counts, "/openapi.json": openapi}


def _look_into(plane: Plane) -> None:
    with plane.reading() as connection:
        connection.execute(select(organisation.c.id).limit(1)).all()


def _named(path: str, handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        request.scope[ROUTE] = path
        return await handler(request)

    return answer


async def _from_http(request: Request, exc: Exception) -> Response:
    found = cast("HTTPException", exc)
    code = CODE_OF_STATUS.get(found.status_code, "internal")
    error = service_error(code, MESSAGE_OF_CODE.get(code, "the server failed on this request"))
    answer = error_response(error, request.scope[REQUEST_ID])
    answer.headers.update(found.headers or {})
    return answer


async def _from_service(request: Request, exc: Exception) -> Response:
    return error_response(cast("ServiceError", exc), request.scope[REQUEST_ID])
