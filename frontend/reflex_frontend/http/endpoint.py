"""The ASGI endpoints of /act and /act/correct, apart from the framework's routing: these are what robots wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from starlette.types import Receive, Scope, Send

from reflex.errors import ServiceError, service_error
from reflex.wire import (
    CONTENT_LENGTH_HEADER,
    DEADLINE_HEADER,
    DEFAULT_DEADLINE_MS,
    MAX_BODY_BYTES,
    raw_name,
)
from reflex_frontend.act.act import ActService
from reflex_frontend.act.answer import JSON, error_body, error_headers
from reflex_frontend.act.correct import CorrectService
from reflex_frontend.errors import ClientGoneError
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.http.form import CONTENT_TYPE, Answering, Form, Headers, form_of
from reflex_frontend.observation.request import parse_deadline_ms, refuse

__all__ = ["RECEIVED_AT", "RESPOND", "WHOLE_BODY", "ActEndpoint", "RawHeaders"]

RECEIVED_AT: Final = "reflex.received_at"
"""Scope key: when the first byte of the request came, as time.monotonic(); set by our HTTP protocol."""

RESPOND: Final = "reflex.respond"
"""Scope key: our HTTP protocol's `(status, headers, body)`, which sends a whole answer at once."""

WHOLE_BODY: Final = "reflex.whole_body"
"""Scope key: our HTTP protocol's `() -> body`, None unless all of it came in the first piece."""

RawHeaders = list[tuple[bytes, bytes]]
CONTENT_LENGTH: Final = raw_name(CONTENT_LENGTH_HEADER)
DEADLINE: Final = raw_name(DEADLINE_HEADER)

log = logging.getLogger("reflex.act")


class ActEndpoint:
    """Reads the body within its limits, answers, counts. Nothing leaves here but a 200 or the envelope.

    With `corrections` it is the one of /act/correct, whose answers are no answers of /act: neither counted nor traced.
    """

    def __init__(self, service: ActService, corrections: CorrectService | None = None) -> None:
        self._service = service
        self._answering: Answering = service if corrections is None else corrections
        self._path = "/act" if corrections is None else "/act/correct"
        self._tracing = service.tracing if corrections is None else None
        self._counts = corrections is None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._service.instance.answering += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._service.instance.answering -= 1

    def of_corrections(self) -> ActEndpoint:
        """The endpoint of /act/correct for the same service."""
        return ActEndpoint(self._service, CorrectService(self._service))

    def unread_headers(self) -> dict[str, str]:
        """What an answer of /act carries that is given before the request is read."""
        return self._service.router.headers(None)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_at = scope.get(RECEIVED_AT) or self._service.now()
        exchange = Exchange.begin(received_at, DEFAULT_DEADLINE_MS)
        headers: dict[str, str] = {}
        media_type = JSON  # of every error
        error: ServiceError | None = None
        tracing = self._tracing
        if tracing is not None and scope["method"] == "POST":
            exchange.stage_times.trace = tracing.begin(scope["headers"])
        try:
            body, media_type = await self._answer(scope, receive, exchange)
            status = 200
        except ClientGoneError:
            return
        except ServiceError as exc:
            error = exc
            body, status, headers = error_body(exc), exc.status, error_headers(exc)
        except Exception:
            log.exception("request failed")
            error = service_error("internal", "the server failed on this request; it has been logged")
            body, status = error_body(error), error.status
        answered_at = self._service.now()
        if status == 405:
            headers["allow"] = "POST"
        headers |= self._service.router.headers(exchange.routing)
        if self._counts:
            self._service.metrics.count_answer(status, exchange.routing.slot.name if exchange.routing else None)
        await _send(scope, send, status, body, media_type, headers)
        if tracing is not None:
            tracing.note(exchange, error, answered_at)

    async def _answer(self, scope: Scope, receive: Receive, exchange: Exchange) -> tuple[bytes, str]:
        """The body of the 200, and its media type."""
        if scope["method"] != "POST":
            raise refuse("method_not_allowed", f"{self._path} takes POST")
        await self._service.check_caller(scope["headers"], exchange)
        headers: Headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        form = form_of(headers)
        deadline_ms = parse_deadline_ms(headers.get(DEADLINE))
        exchange.deadline = exchange.received_at + deadline_ms / 1000.0
        whole_body = scope.get(WHOLE_BODY)
        if whole_body is not None and (whole := whole_body()) is not None:
            return await form.answer(self._answering, whole, exchange)
        return await self._answer_slow_body(headers, form, receive, exchange)

    async def _answer_slow_body(
        self, headers: Headers, form: Form, receive: Receive, exchange: Exchange
    ) -> tuple[bytes, str]:
        with self._service.bodies.account() as take:
            try:
                async with asyncio.timeout(exchange.deadline - self._service.now()):
                    body = await _read_body(headers, receive, take)
            except TimeoutError:
                raise service_error("deadline_exceeded", "the deadline passed before the body was whole") from None
            if body is None:
                raise self._service.router.refusal()
            return await form.answer(self._answering, body, exchange)


async def _read_body(headers: Headers, receive: Receive, take: Callable[[int], bool]) -> bytes | bytearray | None:
    """The whole body; None when `take` has no room for it."""
    declared = headers.get(CONTENT_LENGTH, "0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(first) <= MAX_BODY_BYTES:
        return first
    return await _read_rest(bytearray(first), receive, take)


async def _read_rest(body: bytearray, receive: Receive, take: Callable[[int], bool]) -> bytearray | None:
    room = take(len(body))
    while room:
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        room = take(len(chunk))
        body += chunk
        if not message.get("more_body", False) and len(body) <= MAX_BODY_BYTES:
            return body
    return None


def _too_large() -> ServiceError:
    return refuse(
        "payload_too_large", "a body may have at most 8 MiB; send JPEG instead of raw arrays", limit=MAX_BODY_BYTES
    )


async def _send(scope: Scope, send: Send, status: int, body: bytes, media_type: str, headers: dict[str, str]) -> None:
    raw: RawHeaders = [(CONTENT_TYPE, media_type.encode()), (CONTENT_LENGTH, str(len(body)).encode())]
    raw += [(name.encode(), value.encode()) for name, value in headers.items()]
    respond = scope.get(RESPOND)
    if respond is not None:
        respond(status, raw, body)
        return
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
