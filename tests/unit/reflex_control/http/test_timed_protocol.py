"""Who takes nothing of an answer, or sends nothing, is cut off; who takes it slowly but steadily is not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from reflex.serving.bounded_connection import Bounds
from reflex.serving.bounded_reads import bounded_protocol
from reflex.serving.pieces import READ_BYTES
from reflex.serving.quiet_server import QuietServer
from reflex_control.http import timed_protocol
from reflex_control.http.timed_protocol import TimedProtocol
from support.misuse.one_connection import Client, connected
from support.waiting import HANGS_S, eventually, let_pass_here

ANSWER_BYTES = 64 * 1024 * 1024
PIECE = timed_protocol.LEAST_BYTES * 16


class Impatient(TimedProtocol):
    send_s = 0.3


class Patient(TimedProtocol):
    """With time for a busy machine, which may run nothing of the reader for a while."""

    send_s = 1.5


@contextlib.asynccontextmanager
async def answering_at_length(protocol: type[TimedProtocol]) -> AsyncIterator[tuple[socket.socket, list[str]]]:
    """A connection that has asked for 64 MiB, and what became of the answer."""
    ends: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * ANSWER_BYTES})
        await receive()  # the request itself
        ends.append((await receive())["type"])

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=bounded_protocol(protocol, Bounds(HANGS_S)), ws="none", lifespan="off", log_config=None
    )
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
        async with answering_at_length(Impatient) as (_, ends):
            await eventually(lambda: ends == ["http.disconnect"], "the connection ends")

    uvloop.run(read_nothing())


@pytest.mark.slow
def test_who_takes_it_slowly_but_steadily_gets_all_of_it() -> None:
    async def read_slowly() -> int:
        loop, taken = asyncio.get_running_loop(), 0
        pause_s = 2 * Patient.send_s * PIECE / ANSWER_BYTES  # so all of it takes twice the time of a reader who stops
        async with answering_at_length(Patient) as (reader, _):
            while taken < ANSWER_BYTES:
                piece = await loop.sock_recv(reader, PIECE)
                assert piece, f"cut off after {taken} bytes"
                taken += len(piece)
                await let_pass_here(pause_s)
        return taken

    assert uvloop.run(read_slowly()) >= ANSWER_BYTES


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers /early before the body has come, reads it otherwise; then says that it is alive until nobody listens."""
    if scope["path"] != "/early":
        while (await receive())["more_body"]:
            pass
    length = [] if scope["path"] == "/stream" else [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": b"alive", "more_body": scope["path"] == "/stream"})
    while scope["path"] == "/stream" and (await receive())["type"] != "http.disconnect":
        pass


def test_a_stream_ends_with_who_closes_its_sending_half() -> None:
    async def scenario(client: Client) -> None:
        client.send(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        await client.reader.readuntil(b"alive")
        client.writer.write_eof()
        await client.rest()
        await eventually(lambda: not client.server.tasks, "nobody streams any more")

    connected(scenario, app=stream, connection=TimedProtocol)


def test_what_comes_amid_a_stream_does_not_end_it_and_is_not_piled_up() -> None:
    async def scenario(client: Client) -> None:
        protocol: Any = next(iter(client.server.connections))
        client.send(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        await client.reader.readuntil(b"alive")
        client.send(b"\0no HTTP" * 1_000_000)
        await eventually(lambda: protocol.flow.read_paused, "it is read no further")
        await let_pass_here(0.02)
        assert protocol.flow.read_paused
        assert len(protocol.pieces) <= READ_BYTES
        assert client.server.tasks
        protocol.transport.abort()  # which a comment of the stream would do that nobody takes

    connected(scenario, app=stream, connection=TimedProtocol)


def test_a_body_that_nobody_reads_and_that_never_ends_is_not_taken_for_ever() -> None:
    async def scenario(client: Client) -> None:
        client.send(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\nx")
        assert (await client.answer())[2] == b"alive"
        assert await client.rest() == b""

    connected(scenario, app=stream, connection=TimedProtocol, timeout_s=0.1)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n"], ids=["nothing", "half a head"])
def test_a_head_that_does_not_come_is_told_that_it_is_late(sent: bytes) -> None:
    async def scenario(client: Client) -> None:
        client.send(sent)
        status, envelope = await client.envelope()
        assert (status, envelope["error"]) == (408, "request_timeout")
        await client.closed()

    connected(scenario, app=stream, connection=TimedProtocol, timeout_s=0.1)
