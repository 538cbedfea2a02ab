"""One connection to a bare application behind our HTTP protocol, by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from reflex.serving.bounded_connection import BoundedConnection
from reflex.serving.bounded_reads import bounded_protocol
from reflex_frontend.act.body_budget import BodyBudget
from reflex_frontend.http.endpoint import RECEIVED_AT, RESPOND
from reflex_frontend.http.limits import Limits
from reflex_frontend.http.protocol import BoundedProtocol
from reflex_frontend.streams.bounded_websocket import Bounds, bounded_websocket
from support.waiting import HANGS_S, eventually

__all__ = ["ACT", "Client", "connected", "echo"]

BEGAN_AT: Final = time.monotonic()
ACT: Final = b"POST /act HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body's length; 64 MiB for /big; at once and in one piece for /act?unread."""
    if scope["query_string"] == b"unread":
        scope[RESPOND](401, [(b"content-length", b"0")], b"")
        return
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    assert BEGAN_AT < scope[RECEIVED_AT] <= time.monotonic()
    answer = b"x" * (64 << 20) if scope["path"] == "/big" else str(length).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Client:
    """One socket, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ServerState) -> None:
        self.reader = reader
        self.writer = writer
        self.server = server

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        return int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def envelope(self) -> tuple[int, dict[str, Any]]:
        status, headers, body = await self.answer()
        assert headers["content-type"] == "application/json"
        envelope = json.loads(body)
        assert {"error", "message", "request_id"} <= envelope.keys()
        return status, envelope

    async def refused(self, sent: bytes, told: str) -> None:
        """What is sent is no HTTP of ours: that is said, and the connection is closed."""
        self.send(sent)
        status, envelope = await self.envelope()
        assert (status, envelope["error"]) == (400, "invalid_http")
        assert told in envelope["message"]
        await self.closed()

    async def rest(self) -> bytes:
        """All that comes until the server closes the connection."""
        found = b""
        with contextlib.suppress(ConnectionResetError):  # of what was sent after the end
            async with asyncio.timeout(HANGS_S):
                while piece := await self.reader.read(1 << 16):
                    found += piece
        return found

    async def closed(self) -> float:
        """Seconds until the server has closed the connection."""
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError):  # what is sent meanwhile meets a closed socket
            async with asyncio.timeout(HANGS_S):
                await self.reader.read()
        return time.monotonic() - started


def connected(
    scenario: Callable[[Client], Coroutine[Any, Any, None]],
    refusal: Callable[[], bytes | None] = lambda: None,
    counted: list[int] | None = None,
    is_draining: Callable[[], bool] = bool,
    *,
    timeout_s: float = HANGS_S,
    app: ASGIApp = echo,
    connection: type[BoundedConnection] = BoundedProtocol,
    streams: Collection[bytes] = (),
    bodies: BodyBudget | None = None,
) -> None:
    """Run the scenario against `app`, and see the connection end; `streams` are the paths of WebSockets."""
    counts: list[int] = [] if counted is None else counted

    async def main() -> None:
        websocket = bounded_websocket(Bounds(timeout_s, bodies or BodyBudget()))
        config = uvicorn.Config(app, log_config=None, ws=websocket, lifespan="off", access_log=False)
        limits = Limits(timeout_s, refusal, counts.append, is_draining=is_draining, streams=streams)
        protocol: Any = bounded_protocol(connection, limits)
        state = ServerState()
        server = await asyncio.get_running_loop().create_server(
            lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
        await eventually(lambda: state.connections, "the connection is taken")
        try:
            await scenario(Client(reader, writer, state))
        finally:
            writer.close()
            server.close()
            await asyncio.gather(*state.tasks)
            for one in state.connections:
                one.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            await eventually(lambda: not state.connections, "the server's side is closed")

    asyncio.run(main())
