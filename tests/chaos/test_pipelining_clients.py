"""Clients that send thousands of requests at once cost themselves: robots are answered as before, memory stays."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import psutil
import pytest

from support.load import Answer, LoadClient, pause, percentile, run, under_load
from support.misuse.sockets import opened
from support.nonce_server import NonceServer, nonce_server
from support.promise import Promise
from support.waiting import eventually, let_pass_here

CONNECTIONS: Final = 200
READERS: Final = 4
SENT_BYTES: Final = 256 * 1024
REQUEST: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
FLOOD: Final = REQUEST * (SENT_BYTES // len(REQUEST))
LASTS_S: Final = 8.0
ASKED: Final = 100
LOOKS: Final = 40
NOISE_S: Final = 0.01
MIB: Final = 1 << 20
MANY_BYTES: Final = 10_000

pytestmark = [pytest.mark.timing, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    with nonce_server(tmp_path_factory.mktemp("pipelining")) as running:
        yield running


def test_200_pipelining_connections_that_never_read_are_not_noticed(server: NonceServer, promise: Promise) -> None:
    async def scenario() -> None:
        with opened(server.port, CONNECTIONS, small_buffer=True) as sockets:
            pushing = asyncio.create_task(_push(sockets))
            answers = await _beside(server, lambda: grown.append(_rss_bytes(server) - at_rest))
            pushing.cancel()
        await eventually(lambda: not _connections(server), "the server has let them go")
        _check("while 200 connections pipeline and never read", before, answers, promise)

    before, at_rest = run(_honest(server)), _rss_bytes(server)
    grown: list[int] = []
    run(scenario())
    promise("MiB that 200 connections cost that pipeline and never read", max(grown) / MIB, at_most=512, unit="")
    _check("once they are gone", before, run(_honest(server)), promise)
    promise("MiB that are left of it", (_rss_bytes(server) - at_rest) / MIB, at_most=64, unit="")


def test_a_pipelining_client_that_reads_is_served_beside_a_robot(server: NonceServer, promise: Promise) -> None:
    async def scenario() -> None:
        counts = [0] * READERS
        readers = [asyncio.create_task(_read_on(server.port, counts, each)) for each in range(READERS)]
        answers = await _beside(server, lambda: None)
        _check("while four clients pipeline and read", before, answers, promise)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert min(counts) > MANY_BYTES, "each was served"

    before = run(_honest(server))
    run(scenario())


async def _push(sockets: list[socket.socket]) -> None:
    """Send on every socket until the kernel takes no more, again and again."""
    while True:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.send(FLOOD)
        await pause()


async def _read_on(port: int, counts: list[int], number: int) -> None:
    """Send the flood and read the answers, on and on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.create_task(_send_on(writer))
    try:
        while data := await reader.read(1 << 16):
            counts[number] += len(data)
    finally:
        sending.cancel()
        writer.transport.abort()
        await asyncio.gather(sending, return_exceptions=True)


async def _send_on(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(FLOOD)
        await writer.drain()


async def _honest(server: NonceServer) -> list[Answer]:
    """What one robot that rests between its requests sees."""
    async with LoadClient(server.port) as client:
        return [await _asked(client) for _ in range(ASKED)]


async def _beside(server: NonceServer, look: Callable[[], None]) -> list[Answer]:
    """The same beside whatever else happens."""
    async with LoadClient(server.port) as client, under_load(1, partial(_asked, client)) as answers:
        for _ in range(LOOKS):
            await let_pass_here(LASTS_S / LOOKS)
            look()
    return answers


async def _asked(client: LoadClient) -> Answer:
    answer = await client.act()
    await pause()
    return answer


def _connections(server: NonceServer) -> int:
    """Of clients, open on the server's side."""
    held = psutil.Process(server.pid).net_connections("tcp")
    return sum(1 for one in held if one.laddr.port == server.port and one.raddr)


def _rss_bytes(server: NonceServer) -> int:
    return int(psutil.Process(server.pid).memory_info().rss)


def _check(when: str, before: list[Answer], during: list[Answer], promise: Promise) -> None:
    for answer in during:
        assert answer.is_right, str(answer)
    p99_before_s, p99_s = (percentile([answer.server_s for answer in answers], 0.99) for answers in (before, during))
    promise(f"a robot's p99 {when}", p99_s, at_most=2 * p99_before_s + NOISE_S)
