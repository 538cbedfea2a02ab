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

import pytest

from chaos.remains import belongings, wait_until
from support.load import Answer, LoadClient, run
from support.nonce_server import NonceServer, nonce_server

STOPS = int(os.environ.get("REFLEX_CHAOS_STOPS", "2"))
STOP_S = 5.0
DEADLINES_MS = (100, 250, 600, 1_000, 2_000, 3_000)
AFTER_DEADLINE_S = 0.05
HEALTH_TELLS_S = 1.0
SERVES_AGAIN_S = 3.0
HANG_RESTART_S = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    with nonce_server(tmp_path_factory.mktemp("stopped"), "--max-queue", "64", delay_ms=20) as running:
        yield running


@pytest.mark.parametrize("stop", range(STOPS))
def test_calls_end_by_their_deadline_while_triton_is_stopped_for_5_s(server: NonceServer, stop: int) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            async with _stopped(server):
                stopped_at = time.monotonic()
                calls = {ms: asyncio.create_task(client.act(deadline_ms=ms)) for ms in DEADLINES_MS}
                tells_after_s = await _unhealthy_after_s(client, stopped_at)
                for ms, call in calls.items():
                    _check_ended_in_time(await call, ms)
                while time.monotonic() - stopped_at < STOP_S:
                    _check_ended_in_time(await client.act(deadline_ms=300), 300)
                    await asyncio.sleep(0.1)
            continued_at = time.monotonic()
            await _serves_rightly_again(client, continued_at)
            assert tells_after_s < HEALTH_TELLS_S

    run(scenario())


def test_health_tells_of_a_stopped_triton_within_a_second_without_any_request(server: NonceServer) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            async with _stopped(server):
                tells_after_s = await _unhealthy_after_s(client, time.monotonic())
            await _serves_rightly_again(client, time.monotonic())
            assert tells_after_s < HEALTH_TELLS_S

    run(scenario())


def test_a_short_stop_costs_at_most_the_calls_whose_deadline_fell_into_it(server: NonceServer) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            async with _stopped(server):
                calls = {ms: asyncio.create_task(client.act(deadline_ms=ms)) for ms in (50, 100, 1_500, 2_000)}
                await asyncio.sleep(0.2)
            answers = {ms: await call for ms, call in calls.items()}
            assert [answers[ms].code for ms in (50, 100)] == ["deadline_exceeded"] * 2
            assert answers[1_500].is_right, str(answers[1_500])
            assert answers[2_000].is_right, str(answers[2_000])
            assert (await client.get("/health")).status == 200
            for _ in range(20):
                answer = await client.act()
                assert answer.is_right, str(answer)

    run(scenario())


def test_a_triton_that_stays_stopped_is_killed_and_replaced(tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {"REFLEX_HANG_RESTART_S": str(HANG_RESTART_S)}
    with nonce_server(tmp_path_factory.mktemp("hung"), env=environment) as server:
        before = belongings(server.process)
        os.kill(before.group, signal.SIGSTOP)
        wait_until(lambda: not before.left(), HANG_RESTART_S + 3, "the hung Triton and its memory are gone")
        server.process.wait_ready()
        assert server.process.triton().pid != before.group

        async def asks_again() -> Answer:
            async with LoadClient(server.port) as client:
                return await client.act()

        answer = run(asks_again())
        assert answer.is_right, str(answer)


def test_a_triton_that_loads_longer_than_the_hang_limit_is_left_to_load(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with nonce_server(tmp_path_factory.mktemp("slow-start"), env={"REFLEX_HANG_RESTART_S": "0.8"}) as server:
        os.kill(belongings(server.process).group, signal.SIGKILL)
        wait_until(lambda: server.process.health().status_code != 200, HEALTH_TELLS_S, "/health tells of the kill")
        server.process.wait_ready()
        assert server.process.log.count("Triton started") == 2


@contextlib.asynccontextmanager
async def _stopped(server: NonceServer) -> AsyncIterator[None]:
    triton = server.process.triton()
    triton.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        triton.send_signal(signal.SIGCONT)


def _check_ended_in_time(answer: Answer, deadline_ms: float) -> None:
    assert answer.code in ("deadline_exceeded", "circuit_open", "queue_full"), str(answer)
    assert answer.status == 504 or "retry-after" in answer.headers, str(answer)
    assert answer.server_s < deadline_ms / 1_000 + AFTER_DEADLINE_S, f"deadline {deadline_ms} ms: {answer}"


async def _unhealthy_after_s(client: LoadClient, since: float) -> float:
    while (await client.get("/health")).status == 200:
        assert time.monotonic() - since < 3 * HEALTH_TELLS_S, "/health never said that Triton does not answer"
        await asyncio.sleep(0.01)
    return time.monotonic() - since


async def _serves_rightly_again(client: LoadClient, since: float) -> None:
    """Ready within 3 s; and the answers that Triton still owed are not given to the calls that come now."""
    while (await client.get("/health")).status != 200:
        assert time.monotonic() - since < SERVES_AGAIN_S, "not ready again"
        await asyncio.sleep(0.02)
    for answer in await asyncio.gather(*(client.act() for _ in range(24))):
        assert answer.is_right, str(answer)
