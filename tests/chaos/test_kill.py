"""kill -9 of Triton with 64 requests in flight: nobody waits or gets a wrong answer, and it serves again by itself.

REFLEX_CHAOS_KILLS sets how often (3).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from functools import partial

import grpc.aio
import psutil
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from chaos.remains import belongings, client_connections
from support.load import Answer, LoadClient, run
from support.nonce_server import NonceServer, nonce_server
from support.promise import Promise
from support.waiting import eventually, wait_until

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("REFLEX_CHAOS_KILLS", "3"))
IN_FLIGHT = 64
DELAY_MS = 200
"""8 a batch: the 64 take 1.6 s, inside their deadline; most are still in flight when the first are answered."""
ANSWERED_S = 1.0
HEALTH_TELLS_S = 1.0
SERVES_AGAIN_S = 3.0
CHANNEL = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 50),
           ("grpc.min_reconnect_backoff_ms", 50), ("grpc.use_local_subchannel_pool", 1)]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    folder = tmp_path_factory.mktemp("killed")
    with nonce_server(folder, "--max-queue", str(IN_FLIGHT), delay_ms=DELAY_MS) as running:
        yield running


@pytest.mark.timeout(300 + 30 * KILLS)
def test_kill_9_of_triton_under_load_costs_nobody_a_wrong_or_missing_answer(
    server: NonceServer, promise: Promise
) -> None:
    frontend = psutil.Process(server.pid)
    held: list[tuple[int, int]] = []
    for _ in range(KILLS):
        before = belongings(server.process)
        answers, killed_at = run(_killed_under_load(server, promise))
        _check_answers(answers, killed_at, promise)
        assert not before.left(), f"left of the killed Triton: {before.left()}"
        assert len(belongings(server.process).regions) == len(before.regions)
        wait_until(lambda: not client_connections(server.process), "the connections of the load are closed")
        held.append((frontend.num_fds(), frontend.num_threads()))
    assert held[-1][0] <= held[0][0], f"descriptors and threads after each kill: {held}"
    assert held[-1][1] <= held[0][1] + 1, f"descriptors and threads after each kill: {held}"


def _check_answers(answers: list[Answer], killed_at: float, promise: Promise) -> None:
    for answer in answers:
        assert answer.is_right or _is_honest_refusal(answer), str(answer)
        after_s = answer.ended_at - killed_at - answer.lag_s
        promise("what is in flight is answered after kill -9 of Triton", after_s, at_most=ANSWERED_S)
    assert sum(answer.status == 503 for answer in answers) > IN_FLIGHT / 2, "the kill came too late to hit anyone"


async def _killed_under_load(server: NonceServer, promise: Promise) -> tuple[list[Answer], float]:
    """64 requests, kill, and what must follow it; the 64 answers and when the kill was."""
    async with LoadClient(server.port) as client:
        calls = [asyncio.create_task(client.act()) for _ in range(IN_FLIGHT)]
        await eventually(lambda: any(call.done() for call in calls), "the model works")
        assert sum(call.done() for call in calls) < IN_FLIGHT / 2
        server.process.triton().send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        tells_after_s = await eventually(partial(_is_unhealthy, client), "/health tells that Triton is gone")
        answers = await asyncio.gather(*calls)
        promise("/health tells of kill -9 of Triton", tells_after_s, at_most=HEALTH_TELLS_S)
        serves_after_s = await _serves_again(server, client)
        promise("/act answers once Triton is back after kill -9", serves_after_s, at_most=SERVES_AGAIN_S)
    return answers, killed_at


def _is_honest_refusal(answer: Answer) -> bool:
    return answer.status == 503 and int(answer.headers["retry-after"]) >= 1


async def _is_unhealthy(client: LoadClient) -> bool:
    return (await client.get("/health")).status != 200


async def _serves_again(server: NonceServer, client: LoadClient) -> float:
    """Seconds from the moment at which Triton itself says that the model is ready."""

    async def is_answered() -> bool:
        answer = await client.act()
        assert answer.is_right or _is_honest_refusal(answer), str(answer)
        return answer.is_right

    await _triton_ready(server.process.triton_address())
    serves_after_s = await eventually(is_answered, "requests are answered again")
    health = await client.get("/health")
    assert health.status == 200, health.body
    return serves_after_s


async def _triton_ready(address: str) -> None:
    async with grpc.aio.insecure_channel(address, options=CHANNEL) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        async def is_ready() -> bool:
            with contextlib.suppress(grpc.aio.AioRpcError):
                return bool((await stub.ModelReady(service_pb2.ModelReadyRequest(name="nonce"), timeout=1.0)).ready)
            return False

        await eventually(is_ready, "Triton has the model again")
