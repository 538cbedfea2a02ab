"""Clients that dawdle are dropped at the receive deadline, and nobody else notices them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from support.load import Answer, LoadClient, percentile, run
from support.nonce_server import NonceServer, nonce_server
from support.sockets import drip, held_sockets, opened

RECEIVE_TIMEOUT_S = 2.0
GONE_S = RECEIVE_TIMEOUT_S + 2.0
SOCKETS = 100
READERS = 10
HONEST_EVERY_S = 0.01
NOISE_S = 0.01
"""Another process's turn on a shared core."""
HEAD = b"POST /act HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
FIRST_BYTES = {
    "idle": b"",
    "slow headers": HEAD + b"X-Drip: ",
    "slow request line": b"POST /a",
    "slow body": HEAD + b"Content-Length: 100000\r\n\r\n{",
    "slow chunked body": HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n{",
    "slow body that no route reads": b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    environment = {"REFLEX_RECEIVE_TIMEOUT_S": str(RECEIVE_TIMEOUT_S)}
    with nonce_server(tmp_path_factory.mktemp("slow"), env=environment) as running:
        yield running


@pytest.mark.parametrize("kind", FIRST_BYTES)
def test_100_slow_sockets_are_gone_in_time_and_an_honest_client_sees_only_200(server: NonceServer, kind: str) -> None:
    async def scenario() -> None:
        with opened(server.port, SOCKETS, FIRST_BYTES[kind]) as sockets:
            dripping = asyncio.create_task(drip(sockets if FIRST_BYTES[kind] else []))
            answers = await _honest_until_gone(server, sockets)
            dripping.cancel()
        _check_honest(before, answers)

    before = run(_honest(server, 0.5))
    run(scenario())


def test_readers_that_never_read_are_gone_in_time_and_an_honest_client_sees_only_200(server: NonceServer) -> None:
    """Enough answers for the kernel's own buffers (4 MB a socket) to fill, which is when the server can notice."""
    requests = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 800

    async def scenario() -> None:
        with opened(server.port, READERS, requests, small_buffer=True) as sockets:
            _check_honest(before, await _honest_until_gone(server, sockets))

    before = run(_honest(server, 0.5))
    run(scenario())


def test_a_connection_between_two_requests_may_rest_longer_than_the_receive_deadline(server: NonceServer) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            assert (await client.act()).is_right
            resting = client.idle_connections
            await asyncio.sleep(RECEIVE_TIMEOUT_S + 0.5)
            assert (await client.act()).is_right
            assert client.idle_connections == resting

    run(scenario())


async def _honest(server: NonceServer, seconds: float) -> list[Answer]:
    """What one robot that asks every 10 ms sees."""
    answers: list[Answer] = []
    async with LoadClient(server.port) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _ask_for_ever(client, answers)
    return answers


async def _ask_for_ever(client: LoadClient, answers: list[Answer]) -> None:
    while True:
        answers.append(await client.act())
        await asyncio.sleep(HONEST_EVERY_S)


async def _honest_until_gone(server: NonceServer, sockets: list[socket.socket], gone_s: float = GONE_S) -> list[Answer]:
    """The honest client's answers for as long as the slow ones may stay; then none of them may be left."""
    answers: list[Answer] = []
    started = time.monotonic()
    while held_sockets(server.pid, sockets) < len(sockets):
        assert time.monotonic() - started < RECEIVE_TIMEOUT_S / 2, "the server did not take the slow sockets"
        await asyncio.sleep(0.01)
    async with LoadClient(server.port) as client:
        asking = asyncio.create_task(_ask_for_ever(client, answers))
        while held := held_sockets(server.pid, sockets):
            assert time.monotonic() - started < GONE_S, f"{held} of {len(sockets)} are still open"
            await asyncio.sleep(0.1)
        asking.cancel()
    assert time.monotonic() - started > RECEIVE_TIMEOUT_S / 2, "they were not even given the time they have"
    return answers


def _check_honest(before: list[Answer], during: list[Answer]) -> None:
    for answer in during:
        assert answer.is_right, str(answer)
    p99_before_s, p99_s = (percentile([answer.server_s for answer in answers], 0.99) for answers in (before, during))
    assert p99_s < 2 * p99_before_s + NOISE_S, f"p99 {p99_before_s * 1000:.1f} ms became {p99_s * 1000:.1f} ms"
