"""Clients that dawdle are dropped at the receive deadline, and nobody else notices them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from functools import partial

import pytest

from support.load import Answer, LoadClient, pause, percentile, run, under_load
from support.misuse.sockets import drip, held_sockets, opened
from support.nonce_server import NonceServer, nonce_server
from support.promise import Promise
from support.waiting import eventually, let_pass_here

pytestmark = pytest.mark.slow

RECEIVE_TIMEOUT_S = 2.0
GONE_S = RECEIVE_TIMEOUT_S + 2.0
SOCKETS = 100
READERS = 10
ASKED_BEFORE = 25
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
FEW = ("slow headers", "slow body")
"""In `make test`; `make whole-runs` has them all."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    environment = {"REFLEX_RECEIVE_TIMEOUT_S": str(RECEIVE_TIMEOUT_S)}
    with nonce_server(tmp_path_factory.mktemp("slow"), env=environment) as running:
        yield running


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in FEW else pytest.mark.slow) for kind in FIRST_BYTES]
)
def test_100_slow_sockets_are_gone_in_time_and_an_honest_client_sees_only_200(
    server: NonceServer, promise: Promise, kind: str
) -> None:
    async def scenario() -> None:
        opened_at = time.monotonic()
        with opened(server.port, SOCKETS, FIRST_BYTES[kind]) as sockets:
            dripping = asyncio.create_task(drip(sockets if FIRST_BYTES[kind] else []))
            answers = await _honest_until_gone(server, sockets, opened_at, promise)
            dripping.cancel()
        _check_honest(before, answers, promise)

    before = run(_honest(server))
    run(scenario())


def test_readers_that_never_read_are_gone_in_time_and_an_honest_client_sees_only_200(
    server: NonceServer, promise: Promise
) -> None:
    """Enough answers for the kernel's own buffers (4 MB a socket) to fill, which is when the server can notice."""
    requests = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 800

    async def scenario() -> None:
        opened_at = time.monotonic()
        with opened(server.port, READERS, requests, small_buffer=True) as sockets:
            _check_honest(before, await _honest_until_gone(server, sockets, opened_at, promise), promise)

    before = run(_honest(server))
    run(scenario())


def test_a_connection_between_two_requests_may_rest_longer_than_the_receive_deadline(server: NonceServer) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            assert (await client.act()).is_right
            resting = client.idle_connections
            await let_pass_here(RECEIVE_TIMEOUT_S + 0.5)
            assert (await client.act()).is_right
            assert client.idle_connections == resting

    run(scenario())


async def _honest(server: NonceServer) -> list[Answer]:
    """What one robot that rests between its requests sees of a server that has nothing else to do."""
    async with LoadClient(server.port) as client:
        return [await _asked(client) for _ in range(ASKED_BEFORE)]


async def _asked(client: LoadClient) -> Answer:
    answer = await client.act()
    await pause()
    return answer


async def _honest_until_gone(
    server: NonceServer, sockets: list[socket.socket], opened_at: float, promise: Promise
) -> list[Answer]:
    """The honest client's answers for as long as the slow ones stay."""
    held = 0

    def are_taken() -> bool:
        nonlocal held
        held = max(held, held_sockets(server.pid, sockets))
        return held == len(sockets) or time.monotonic() - opened_at > RECEIVE_TIMEOUT_S

    await eventually(are_taken, "the server takes the slow sockets")
    taken_s = time.monotonic() - opened_at
    assert held, "the server took none of them"
    promise(f"{len(sockets)} connections are taken beside each other", taken_s, at_most=RECEIVE_TIMEOUT_S / 2)
    async with LoadClient(server.port) as client, under_load(1, partial(_asked, client)) as answers:
        await eventually(lambda: not held_sockets(server.pid, sockets), "the slow sockets are gone")
    gone_s = time.monotonic() - opened_at
    promise("clients that dawdle are dropped at the receive deadline of 2 s", gone_s, at_most=GONE_S)
    assert gone_s > RECEIVE_TIMEOUT_S / 2, "they were not even given the time they have"
    return answers


def _check_honest(before: list[Answer], during: list[Answer], promise: Promise) -> None:
    for answer in during:
        assert answer.is_right, str(answer)
    p99_before_s, p99_s = (percentile([answer.server_s for answer in answers], 0.99) for answers in (before, during))
    bound_s = NOISE_S + 2.0 * p99_before_s
    promise("clients that dawdle do not double an honest client's p99, but for noise", p99_s, at_most=bound_s)
