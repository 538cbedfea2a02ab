"""The door of the server: by which name it is called, what becomes of an error, and a line of the log for each."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reflex.errors import ServiceError, service_error
from reflex.serving.hosts import AllowedHosts
from reflex_control.http.answering import error_response
from reflex_control.http.endpoint import ACTOR
from reflex_control.http.metrics import Metrics

__all__ = ["REQUEST_ID", "ROUTE", "front_door"]

REQUEST_ID: Final = "reflex.request_id"
ROUTE: Final = "reflex.route"
"""Where the request keeps its route's path: the one that was sent may hold a secret."""
NO_ROUTE: Final = "none"

log = logging.getLogger("reflex.control.access")


def front_door(app: ASGIApp, hosts: AllowedHosts, metrics: Metrics) -> ASGIApp:
    """`app` for callers by a known name; what it fails at is logged, and answered with 500."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        seen = _Seen(scope, send)
        try:
            hosts.check(scope["headers"])
            await app(scope, receive, seen.send)
        except ServiceError as exc:
            if seen.status is None:  # else the connection ends amid the answer, and the reader knows
                await error_response(exc, scope[REQUEST_ID])(scope, receive, seen.send)
        except Exception:
            logging.getLogger("reflex.control").exception("failed", extra={"request_id": scope[REQUEST_ID]})
            if seen.status is None:
                failed = service_error("internal", "the server failed on this request; it has been logged")
                await error_response(failed, scope[REQUEST_ID])(scope, receive, seen.send)
        finally:
            seen.note(metrics)

    return serve


class _Seen:
    """What of one request goes into the log: nothing that was sent."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.status: int | None = None
        self._scope, self._send, self._began = scope, send, time.monotonic()
        scope[REQUEST_ID] = str(uuid.uuid4())

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    def note(self, metrics: Metrics) -> None:
        took_s, route = time.monotonic() - self._began, self._scope.get(ROUTE, NO_ROUTE)
        method = self._scope["method"] if route != NO_ROUTE else NO_ROUTE
        actor, status = self._scope.get(ACTOR), self.status or 0
        metrics.count(method, route, status, took_s)
        facts = {"method": method, "route": route, "status": status, "ms": round(1000 * took_s, 1)}
        log.info("request", extra={**facts, "key": actor and actor.key_id, "request_id": self._scope[REQUEST_ID]})
