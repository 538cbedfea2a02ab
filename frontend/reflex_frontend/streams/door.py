"""Who may open a WebSocket, and what is spoken on it: host, page, route, caller, in this order."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Receive, Scope, Send

from reflex.errors import NO_SUCH_ROUTE, ServiceError, UnavailableError
from reflex.serving.hosts import AllowedHosts, is_loopback, written_host
from reflex.wire import ORIGIN_HEADER, raw_name
from reflex_frontend.act.act import ActService
from reflex_frontend.errors import ClientGoneError
from reflex_frontend.observation.request import refuse
from reflex_frontend.streams.connection import INTERNAL_ERROR, Connection

__all__ = ["Stream", "StreamDoor", "check_origin"]

ORIGIN: Final = raw_name(ORIGIN_HEADER)
MOST_OPEN: Final = 1_024
"""Streams of one server: each may wait for hours, and costs some kilobytes meanwhile."""
TRY_AGAIN_S: Final = 1.0

Stream = Callable[[Connection], Awaitable[None]]
"""Speaks one protocol on a connection that is accepted, until it ends."""

log = logging.getLogger("reflex.streams")


@dataclass
class StreamDoor:
    """The ASGI application of scopes of type `websocket`."""

    service: ActService
    streams: Mapping[str, Stream]
    """By path."""
    hosts: AllowedHosts
    origins: tuple[str, ...]
    """The pages that may open one, as `--cors-origins` names them."""
    open: int = field(default=0, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # that it is asked for
        connection = Connection(scope, receive, send)
        try:
            stream = await self._admitted(connection)
        except ServiceError as exc:
            await connection.refuse(exc)
            return
        self.open += 1
        try:
            await connection.accept()
            await self._speak(stream, connection)
        except ClientGoneError:
            pass
        finally:
            self.open -= 1

    async def _admitted(self, connection: Connection) -> Stream:
        self.hosts.check(connection.headers)
        check_origin(connection.headers, self.origins)
        stream = self.streams.get(connection.path)
        if stream is None:
            raise refuse("not_found", NO_SUCH_ROUTE)
        if connection.subprotocols:
            raise refuse("invalid_http", "these routes have no subprotocols; open the WebSocket without one")
        self.service.instance.admit()
        await self.service.check_stream(connection.headers)
        if self.open >= MOST_OPEN:
            raise UnavailableError(
                "queue_full", f"{MOST_OPEN} streams are open, as many as may be; close one", retry_after_s=TRY_AGAIN_S
            )
        return stream

    async def _speak(self, stream: Stream, connection: Connection) -> None:
        try:
            await stream(connection)
        except ClientGoneError:
            raise
        except Exception:
            log.exception("stream failed")
            await connection.close(INTERNAL_ERROR, "the server failed on this stream; it has been logged")


def check_origin(headers: Iterable[tuple[bytes, bytes]], origins: Iterable[str]) -> None:
    """Raises `ServiceError` forbidden for a page that may not open a WebSocket; programs send no Origin.

    No preflight asks before a WebSocket, and a browser shows its answers to every page. So `*`, which lets every page
    ask over HTTP after a preflight, here lets in pages of this machine; those of others must be named.
    """
    given = [value.decode("latin-1") for name, value in headers if name == ORIGIN]
    if not given:
        return
    named = frozenset(origins)
    if len(given) > 1 or not (given[0] in named or _is_near(given[0], written_host(headers), is_open="*" in named)):
        raise refuse(
            "forbidden", "this page may not open a WebSocket here; start the server with --cors-origins ORIGIN"
        )


def _is_near(origin: str, host: str | None, *, is_open: bool) -> bool:
    """Whether the page came from this very server, or, where pages are let in at all, from this machine."""
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    is_own = host is not None and parts.netloc.lower() == host
    return is_own or (is_open and (is_loopback(name) or name.endswith(".localhost")))
