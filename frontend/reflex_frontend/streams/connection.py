"""One WebSocket as those who answer on it see it: whole messages in, messages out, an end with a reason."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from reflex.errors import ServiceError
from reflex.wire import AUTHORIZATION_HEADER, KEY_HEADER, raw_name
from reflex_frontend.act.answer import JSON, error_body, error_headers
from reflex_frontend.errors import ClientGoneError

__all__ = [
    "DRAINING",
    "GOING_AWAY",
    "INTERNAL_ERROR",
    "POLICY_VIOLATION",
    "TRY_AGAIN_LATER",
    "Connection",
    "RawHeaders",
    "close_code",
]

AUTHORIZATION: Final = raw_name(AUTHORIZATION_HEADER)
KEY: Final = raw_name(KEY_HEADER)
API_KEY: Final = re.compile(rb"^api-key +", re.IGNORECASE)

RawHeaders = list[tuple[bytes, bytes]]

GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013
DRAINING: Final = "draining: this instance is shutting down; connect to another"
"""Why a stream that is open ends when the server is stopped."""
MAX_REASON_BYTES: Final = 123
"""RFC 6455, 5.5: a control frame holds 125 bytes, two of them the code."""


class Connection:
    """A WebSocket that was asked for: grant it with `accept` or `refuse` it, then receive, send and close.

    Every method raises `ClientGoneError` once the client is gone, whichever side closed.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.headers: RawHeaders = _with_bearer(scope["headers"])
        """Of the request that opened it, names in lower case; a key that openpi's clients present is a Bearer's."""
        self.path: str = scope["path"]
        self.subprotocols: list[str] = scope.get("subprotocols", [])
        self._receive = receive
        self._send = send

    async def accept(self) -> None:
        await self._tell({"type": "websocket.accept"})

    async def refuse(self, error: ServiceError) -> None:
        """Answer the request that opened it as any other HTTP request: a status and the envelope."""
        body = error_body(error)
        headers = {"content-type": JSON, "content-length": str(len(body)), **error_headers(error)}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._tell({"type": "websocket.http.response.start", "status": error.status, "headers": raw})
        await self._tell({"type": "websocket.http.response.body", "body": body})

    async def receive(self) -> bytes | str:
        """The next message, binary or text; at most `MAX_BODY_BYTES` of it, for longer ones close the connection."""
        event = await self._receive()
        if event["type"] != "websocket.receive":
            raise ClientGoneError
        data: bytes | str | None = event.get("bytes")
        return event["text"] if data is None else data

    async def send(self, data: bytes | str) -> None:
        await self._tell({"type": "websocket.send", "bytes" if isinstance(data, bytes) else "text": data})

    async def close(self, code: int, reason: str) -> None:
        """Say why, and end it; a reason has room for about a hundred characters."""
        short = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
        await self._tell({"type": "websocket.close", "code": code, "reason": short})

    async def _tell(self, event: dict[str, Any]) -> None:
        try:
            await self._send(event)
        except (OSError, RuntimeError):  # ASGI says the one, and uvicorn the other once its own close is sent
            raise ClientGoneError from None


def _with_bearer(headers: RawHeaders) -> RawHeaders:
    """`Authorization: Api-Key KEY` is what openpi's clients send; beside a key in our own header it is a proxy's."""
    if any(name == KEY for name, _ in headers):
        return headers
    return [(name, API_KEY.sub(b"Bearer ", value) if name == AUTHORIZATION else value) for name, value in headers]


def close_code(error: ServiceError) -> int:
    """With which code a connection ends that ends for this error."""
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return GOING_AWAY if error.code == "draining" else TRY_AGAIN_LATER
    return POLICY_VIOLATION if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else INTERNAL_ERROR
