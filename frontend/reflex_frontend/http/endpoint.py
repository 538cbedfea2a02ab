"""The ASGI endpoint of /act. It stands apart from the framework's routing: this is the path that robots wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from starlette.types import Receive, Scope, Send

from reflex.errors import ServiceError, service_error
from reflex.wire import (
    CONTENT_ENCODING_HEADER,
    CONTENT_LENGTH_HEADER,
    CONTENT_TYPE_HEADER,
    DEADLINE_HEADER,
    DEFAULT_DEADLINE_MS,
    MAX_BODY_BYTES,
    ORIGIN_HEADER,
    raw_name,
)
from reflex_frontend.act.act import ActService
from reflex_frontend.act.answer import JSON, error_body, error_headers
from reflex_frontend.errors import ClientGoneError
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.observation.request import parse_deadline_ms, refuse

__all__ = ["RECEIVED_AT", "RESPOND", "WHOLE_BODY", "ActEndpoint", "RawHeaders"]

RECEIVED_AT: Final = "reflex.received_at"
"""Scope key: when the first byte of the request came, as time.monotonic(); set by our HTTP protocol."""

RESPOND: Final = "reflex.respond"
"""Scope key: our HTTP protocol's `(status, headers, body)`, which sends a whole answer at once."""

WHOLE_BODY: Final = "reflex.whole_body"
"""Scope key: our HTTP protocol's `() -> body`, None unless all of it came in the first piece."""

RawHeaders = list[tuple[bytes, bytes]]
Headers = Mapping[bytes, str]
"""By name in lower case; of a repeated one the last."""

CONTENT_ENCODING: Final = raw_name(CONTENT_ENCODING_HEADER)
CONTENT_LENGTH: Final = raw_name(CONTENT_LENGTH_HEADER)
CONTENT_TYPE: Final = raw_name(CONTENT_TYPE_HEADER)
DEADLINE: Final = raw_name(DEADLINE_HEADER)
ORIGIN: Final = raw_name(ORIGIN_HEADER)

log = logging.getLogger("reflex.act")


class ActEndpoint:
    """Reads the body within its limits, answers, counts. Nothing leaves here but a 200 or the envelope."""

    def __init__(self, service: ActService) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._service.instance.answering += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._service.instance.answering -= 1

    def unread_headers(self) -> dict[str, str]:
        """What an answer of /act carries that is given before the request is read."""
        return self._service.router.headers(None)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_at = scope.get(RECEIVED_AT) or self._service.now()
        exchange = Exchange.begin(received_at, DEFAULT_DEADLINE_MS)
        headers: dict[str, str] = {}
        error: ServiceError | None = None
        tracing = self._service.tracing
        if tracing is not None and scope["method"] == "POST":
            exchange.stage_times.trace = tracing.begin(scope["headers"])
        try:
            body = await self._answer(scope, receive, exchange)
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
        self._service.metrics.count_answer(status, exchange.routing.slot.name if exchange.routing else None)
        await _send(scope, send, status, body, headers)
        if tracing is not None:
            tracing.note(exchange, error, answered_at)

    async def _answer(self, scope: Scope, receive: Receive, exchange: Exchange) -> bytes:
        if scope["method"] != "POST":
            raise refuse("method_not_allowed", "/act takes POST")
        await self._service.check_caller(scope["headers"], exchange)
        headers: Headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        _check_media_type(headers)
        deadline_ms = parse_deadline_ms(headers.get(DEADLINE))
        exchange.deadline = exchange.received_at + deadline_ms / 1000.0
        whole_body = scope.get(WHOLE_BODY)
        if whole_body is not None and (whole := whole_body()) is not None:
            return await self._service.answer(whole, exchange)
        return await self._answer_slow_body(headers, receive, exchange)

    async def _answer_slow_body(self, headers: Headers, receive: Receive, exchange: Exchange) -> bytes:
        with self._service.bodies.account() as take:
            try:
                async with asyncio.timeout(exchange.deadline - self._service.now()):
                    body = await _read_body(headers, receive, take)
            except TimeoutError:
                raise service_error("deadline_exceeded", "the deadline passed before the body was whole") from None
            if body is None:
                raise self._service.router.refusal()
            return await self._service.answer(body, exchange)


def _check_media_type(headers: Headers) -> None:
    if ORIGIN in headers and CONTENT_TYPE not in headers:
        # A page may send bytes without a type to anybody, and no preflight asks us first.
        raise refuse("unsupported_media_type", "a web page must send its request as application/json")
    media_type, _, parameters = headers.get(CONTENT_TYPE, JSON).partition(";")
    charset = parameters.strip().lower().replace('"', "")
    is_json = media_type.strip().lower() == JSON or media_type.strip().lower().endswith("+json")
    if not is_json or charset not in ("", "charset=utf-8", "charset=utf8"):
        raise refuse(
            "unsupported_media_type", "send application/json in UTF-8 (curl: -H 'Content-Type: application/json')"
        )
    if headers.get(CONTENT_ENCODING, "identity").lower() != "identity":
        raise refuse("unsupported_media_type", "send the body uncompressed")


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


async def _send(scope: Scope, send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    raw: RawHeaders = [(CONTENT_TYPE, b"application/json"), (CONTENT_LENGTH, str(len(body)).encode())]
    raw += [(name.encode(), value.encode()) for name, value in headers.items()]
    respond = scope.get(RESPOND)
    if respond is not None:
        respond(status, raw, body)
        return
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
