"""SIGSTOP of Triton: calls end by their deadlines, late answers reach nobody, and it is killed when it stays stopped.

REFLEX_CHAOS_STOPS sets how often it is stopped for five seconds (2).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial

import psutil
import pytest

from chaos.remains import belongings
from support.load import Answer, LoadClient, pause, run
from support.nonce_server import NonceServer, nonce_server
from support.promise import Promise
from support.waiting import eventually, wait_until

pytestmark = pytest.mark.slow

STOPS = int(os.environ.get("REFLEX_CHAOS_STOPS", "2"))
STOP_S = 5.0
DEADLINES_MS = (100, 250, 600, 1_000, 2_000, 3_000)
AFTER_DEADLINE_S = 0.05
AT_ONCE_S = 0.1
HEALTH_TELLS_S = 1.0
SERVES_AGAIN_S = 3.0
HANG_RESTART_S = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    with nonce_server(tmp_path_factory.mktemp("stopped"), "--max-queue", "64", delay_ms=20) as running:
        yield running


@pytest.mark.parametrize("stop", range(STOPS))
def test_calls_end_by_their_deadline_while_triton_is_stopped_for_5_s(
    server: NonceServer, promise: Promise, stop: int
) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            async with _stopped(server):
                stopped_at = time.monotonic()
                calls = {ms: asyncio.create_task(client.act(deadline_ms=ms)) for ms in DEADLINES_MS}
                tells_after_s = await eventually(partial(_is_unhealthy, client), "/health tells of the stop")
                for ms, call in calls.items():
                    _check_ended(await call, ms, promise)
                while time.monotonic() - stopped_at < STOP_S:
                    _check_ended(await client.act(deadline_ms=300), 300, promise)
                    await pause()
            await _serves_rightly_again(client, promise)
            promise("/health tells of a stopped Triton under load", tells_after_s, at_most=HEALTH_TELLS_S)

    run(scenario())


def test_health_tells_of_a_stopped_triton_within_a_second_without_any_request(
    server: NonceServer, promise: Promise
) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            async with _stopped(server):
                tells_after_s = await eventually(partial(_is_unhealthy, client), "/health tells of the stop")
            await _serves_rightly_again(client, promise)
            promise("/health tells of a stopped Triton without a request", tells_after_s, at_most=HEALTH_TELLS_S)

    run(scenario())


def test_a_short_stop_costs_at_most_the_calls_whose_deadline_fell_into_it(
    server: NonceServer, promise: Promise
) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            async with _stopped(server):
                calls = {ms: asyncio.create_task(client.act(deadline_ms=ms)) for ms in (50, 100, 9_000, 10_000)}
                await asyncio.wait([calls[50], calls[100]])
            answers = {ms: await call for ms, call in calls.items()}
            assert [answers[ms].code for ms in (50, 100)] == ["deadline_exceeded"] * 2
            assert answers[9_000].is_right, str(answers[9_000])
            assert answers[10_000].is_right, str(answers[10_000])
            healthy_after_s = await eventually(partial(_is_healthy, client), "/health says ready")
            promise("a stop of a tenth of a second leaves /health ready", healthy_after_s, at_most=AT_ONCE_S)
            for _ in range(20):
                answer = await client.act()
                assert answer.is_right, str(answer)

    run(scenario())


def test_a_triton_that_stays_stopped_is_killed_and_replaced(
    tmp_path_factory: pytest.TempPathFactory, promise: Promise
) -> None:
    environment = {"REFLEX_HANG_RESTART_S": str(HANG_RESTART_S)}
    with nonce_server(tmp_path_factory.mktemp("hung"), env=environment) as server:
        before = belongings(server.process)
        os.kill(before.group, signal.SIGSTOP)
        gone_after_s = wait_until(lambda: not before.left(), "the hung Triton and its memory are gone")
        promise("a hung Triton is killed, its memory gone", gone_after_s, at_most=HANG_RESTART_S + 3)
        server.process.wait_ready()
        assert server.process.triton().pid != before.group

        async def asks_again() -> Answer:
            async with LoadClient(server.port) as client:
                return await client.act()

        answer = run(asks_again())
        assert answer.is_right, str(answer)


# Its limit is below what a Triton that serves may be silent for on a busy machine.
def test_a_triton_that_loads_longer_than_the_hang_limit_is_left_to_load(
    tmp_path_factory: pytest.TempPathFactory, promise: Promise
) -> None:
    with nonce_server(tmp_path_factory.mktemp("slow-start"), env={"REFLEX_HANG_RESTART_S": "0.8"}) as server:
        os.kill(belongings(server.process).group, signal.SIGKILL)
        tells_after_s = wait_until(lambda: server.process.health().status_code != 200, "/health tells of the kill")
        promise("/health tells of kill -9 of Triton without a request", tells_after_s, at_most=HEALTH_TELLS_S)
        server.process.wait_ready()
        assert server.process.log.count("Triton started") == 2


@contextlib.asynccontextmanager
async def _stopped(server: NonceServer) -> AsyncIterator[None]:
    triton = server.process.triton()
    triton.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):  # on a very busy machine it counts as hung before
            triton.send_signal(signal.SIGCONT)


def _check_ended(answer: Answer, deadline_ms: float, promise: Promise) -> None:
    assert answer.code in ("deadline_exceeded", "circuit_open", "queue_full"), str(answer)
    assert answer.status == 504 or "retry-after" in answer.headers, str(answer)
    late_s = answer.server_s - deadline_ms / 1_000
    promise("calls end by their deadline while Triton is stopped", max(late_s, 0.0), at_most=AFTER_DEADLINE_S)


async def _is_healthy(client: LoadClient) -> bool:
    return (await client.get("/health")).status == 200


async def _is_unhealthy(client: LoadClient) -> bool:
    return not await _is_healthy(client)


async def _serves_rightly_again(client: LoadClient, promise: Promise) -> None:
    """Ready; and the answers that Triton still owed are not given to the calls that come now."""
    ready_after_s = await eventually(partial(_is_healthy, client), "/health says ready")
    promise("/health says ready once Triton goes on", ready_after_s, at_most=SERVES_AGAIN_S)
    for answer in await asyncio.gather(*(client.act() for _ in range(24))):
        assert answer.is_right, str(answer)
