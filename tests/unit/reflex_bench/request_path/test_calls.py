"""A call of the benchmark outlives the connection that its server closes."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from reflex_bench import http_load
from reflex_bench.http_load import Asker, Connection, connect, http_request
from reflex_bench.request_path.calls import get_call
from reflex_bench.server import Served
from support.streams.listening import listening
from support.waiting import eventually

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def test_a_connection_that_the_server_closed_for_its_silence_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine the other paths' turns take longer than a server waits for a first request."""
    opened: list[Connection] = []

    async def noted(port: int) -> Connection:
        opened.append(await connect(port))
        return opened[-1]

    monkeypatch.setattr(http_load, "connect", noted)

    accepted = itertools.count()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if next(accepted):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()

    async def ask() -> None:
        async with listening(answer) as port:
            served = Served(port, 0, "", Path())
            call = await get_call(served, "/health")
            await eventually(lambda: not opened[0].is_open, "the silent one is closed")
            await call()

    asyncio.run(ask())
    assert len(opened) == 2


def test_a_server_that_keeps_no_connection_costs_what_it_takes_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a paired run would call it as quick as one that does."""
    times = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(times)))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)

    async def took() -> list[float]:
        async with listening(answer) as port:
            asker = await Asker.connected(port)
            first = await asker.send(http_request("GET", "/"))
            connection = asker._connection
            assert connection is not None
            await eventually(lambda: not connection.is_open, "it is closed")
            return [first.latency_s, (await asker.send(http_request("GET", "/"))).latency_s]

    kept_s, again_s = asyncio.run(took())
    assert kept_s < again_s
