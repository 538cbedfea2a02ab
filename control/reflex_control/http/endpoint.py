"""From a request to its answer: who asks, whether they may, what they ask, and the operation, in a thread."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from reflex.errors import service_error
from reflex_control.http.answering import json_response
from reflex_control.http.callers import Callers
from reflex_control.http.operation import Answer, Call, Operation
from reflex_control.http.reading import fields_of, key_in, query_of, read_body, repetition_of
from reflex_control.identity.actor import Actor
from reflex_control.identity.ids import ID
from reflex_control.identity.keys import authenticate
from reflex_control.plane import Plane
from reflex_control.rate_limits import RateLimits

__all__ = ["ACTOR", "Endpoints", "check_path", "last_event_id"]

ACTOR: Final = "reflex.actor"
"""Where the request keeps who asks, for the access log."""
EVENT_ID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class Endpoints:
    """What turns operations into endpoints of one server."""

    plane: Plane
    limits: RateLimits
    callers: Callers

    def of(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        """Nothing that waits for the store runs on the event loop."""

        async def answer(request: Request) -> Response:
            actor = await self._admitted(operation, request)
            body = await read_body(request) if operation.takes is not None else b""
            given = await run_in_threadpool(self._run, operation, request, actor, body)
            return given if isinstance(given, Response) else json_response(given, operation.status)

        return answer

    async def _admitted(self, operation: Operation, request: Request) -> Actor | None:
        if not operation.needs.is_public:
            return await run_in_threadpool(self._admit, operation, request)
        self.callers.admit(request)
        return None

    def _admit(self, operation: Operation, request: Request) -> Actor:
        actor = authenticate(self.plane.database, key_in(request.scope["headers"]), self.plane.clock())
        request.scope[ACTOR] = actor
        self.limits.take(actor.key_id)
        operation.needs.check(actor, request.path_params)
        return actor

    def _run(self, operation: Operation, request: Request, actor: Actor | None, body: bytes) -> Answer:
        check_path(request.path_params)
        query = query_of(operation.asks, request)
        fields: Any = None if operation.takes is None else fields_of(operation.takes, body)
        repetition = repetition_of(request, body) if operation.is_repeatable else None
        heard = last_event_id(request)
        address, origin = self.callers.address_of(request), self.callers.origin_of(request)
        return operation.run(
            Call(self.plane, actor, request.path_params, query, fields, repetition, heard, address, origin)
        )


def check_path(params: Mapping[str, str]) -> None:
    """`ServiceError` 404 where a part is nothing that could be an id."""
    if not all(ID.fullmatch(part) for part in params.values()):
        raise service_error("not_found", "there is nothing of this id in this organisation")


def last_event_id(request: Request) -> int | None:
    """None where none was given, or where it is none of ours."""
    given = request.headers.get("last-event-id", "")
    return int(given) if EVENT_ID.fullmatch(given) else None
