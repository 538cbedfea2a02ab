"""The application: the operations as routes, what watches the server, and one error envelope for all of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, cast

import orjson
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import reflex
from reflex.errors import NO_SUCH_ROUTE, ServiceError, service_error
from reflex_control.http.answering import JSON, error_response, json_response
from reflex_control.http.callers import Callers
from reflex_control.http.endpoint import Endpoints
from reflex_control.http.front_door import REQUEST_ID, ROUTE
from reflex_control.http.metrics import Metrics
from reflex_control.http.openapi import document_of
from reflex_control.http.operation import Operation
from reflex_control.http.routes.datasets import DATASET_OPERATIONS
from reflex_control.http.routes.device import DEVICE_OPERATIONS
from reflex_control.http.routes.events import EVENT_OPERATIONS
from reflex_control.http.routes.keys import KEY_OPERATIONS
from reflex_control.http.routes.receipts import RECEIPT_OPERATIONS
from reflex_control.http.routes.registry import REGISTRY_OPERATIONS
from reflex_control.http.routes.robots import ROBOT_OPERATIONS
from reflex_control.http.routes.sessions import SESSION_OPERATIONS
from reflex_control.http.routes.training import TRAINING_OPERATIONS
from reflex_control.plane import Plane
from reflex_control.rate_limits import RateLimits
from reflex_control.store.failures import STORE_ERRORS, store_problem
from reflex_control.store.tables import organisation

__all__ = ["OPERATIONS", "build_app"]

OPERATIONS: Final[Sequence[Operation]] = (
    *KEY_OPERATIONS,
    *DEVICE_OPERATIONS,
    *REGISTRY_OPERATIONS,
    *ROBOT_OPERATIONS,
    *SESSION_OPERATIONS,
    *DATASET_OPERATIONS,
    *TRAINING_OPERATIONS,
    *EVENT_OPERATIONS,
    *RECEIPT_OPERATIONS,
)  # fmt: skip
CODE_OF_STATUS: Final = {404: "not_found", 405: "method_not_allowed"}
MESSAGE_OF_CODE: Final = {
    "not_found": NO_SUCH_ROUTE,
    "method_not_allowed": "this route does not take that method; see /openapi.json",
}

LOOK_S: Final = 2.0
TRY_AGAIN_S: Final = 1.0

Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger("reflex.control")


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
    for kind in STORE_ERRORS:
        app.add_exception_handler(kind, _from_store)
    return app


def _watching(plane: Plane, metrics: Metrics, document: bytes) -> dict[str, Handler]:
    async def health(request: Request) -> Response:
        problem = await _problem_of(plane)
        return json_response({"status": "ready"}) if problem is None else _degraded(problem, request)

    async def live(_request: Request) -> Response:
        return json_response({"status": "live"})

    async def counts(_request: Request) -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    async def openapi(_request: Request) -> Response:
        return Response(document, media_type=JSON)

    return {"/health": health, "/health/live": live, "/metrics": counts, "/openapi.json": openapi}


async def _problem_of(plane: Plane) -> str | None:
    """Why the store is of no use now. In a thread of its own: those of the requests may all be waiting for it."""
    try:
        async with asyncio.timeout(LOOK_S):
            await asyncio.to_thread(_look_into, plane)
    except TimeoutError:
        return f"the store does not answer within {LOOK_S:g} s"
    except STORE_ERRORS as exc:
        return f"the store fails: {store_problem(exc) or type(exc).__name__}"
    failed = plane.database.write_problem
    return None if failed is None else f"nothing can be written: {failed}"


def _look_into(plane: Plane) -> None:
    with plane.reading() as connection:
        connection.execute(select(organisation.c.id).limit(1)).all()


def _degraded(reason: str, request: Request) -> Response:
    told = {"status": "degraded", "reason": reason}
    return error_response(_unavailable(reason), request.scope[REQUEST_ID], told)


def _unavailable(reason: str) -> ServiceError:
    return service_error("store_unavailable", f"{reason}; nothing was changed, ask again", retry_after_s=TRY_AGAIN_S)


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


async def _from_store(request: Request, exc: Exception) -> Response:
    """A store that cannot be used now is nobody's fault, and may be well again in a second."""
    problem = store_problem(exc)
    if problem is None:
        raise exc
    log.error("the store failed", extra={"problem": problem, "request_id": request.scope[REQUEST_ID]})
    return error_response(_unavailable("the store cannot be used now"), request.scope[REQUEST_ID])
