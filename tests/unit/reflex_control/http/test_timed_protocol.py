"""Whoever takes nothing of an answer is cut off, and whoever takes it slowly but steadily is not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
import uvloop

from reflex.serving.quiet_server import QuietServer
from reflex_control.http import timed_protocol
from reflex_control.http.timed_protocol import TimedProtocol
from support.waiting import eventually, let_pass_here

ANSWER = b"x" * 64 * 1024 * 1024


class Impatient(TimedProtocol):
    send_s = 0.3


@contextlib.asynccontextmanager
async def answering_at_length() -> AsyncIterator[tuple[socket.socket, list[str]]]:
    """A connection that has asked for 64 MiB, and what became of the answer."""
    ends: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": ANSWER})
        await receive()  # the request itself
        ends.append((await receive())["type"])

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=Impatient, ws="none", lifespan="off", log_config=None)
    server = QuietServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader = socket.create_connection(listener.getsockname())
    reader.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(reader, b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    try:
        yield reader, ends
    finally:
        reader.close()
        server.should_exit = True
        await serving


def test_who_takes_nothing_is_cut_off() -> None:
    async def read_nothing() -> None:
        async with answering_at_length() as (_, ends):
            await eventually(lambda: ends == ["http.disconnect"], "the connection ends")

    uvloop.run(read_nothing())


def test_who_takes_it_slowly_but_steadily_gets_all_of_it() -> None:
    async def read_slowly() -> int:
        loop, taken = asyncio.get_running_loop(), 0
        async with answering_at_length() as (reader, _):
            while taken < len(ANSWER):
                piece = await loop.sock_recv(reader, timed_protocol.LEAST_BYTES * 16)
                assert piece, f"cut off after {taken} bytes"
                taken += len(piece)
                await let_pass_here(0.01)
        return taken

    assert uvloop.run(read_slowly()) >= len(ANSWER)
