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

import grpc.aio
import psutil
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from chaos.remains import belongings, client_connections, triton_address, wait_until
from support.load import Answer, LoadClient, run
from support.nonce_server import NonceServer, nonce_server

KILLS = int(os.environ.get("REFLEX_CHAOS_KILLS", "3"))
IN_FLIGHT = 64
DELAY_MS = 100
"""8 a batch: the 64 take 0.8 s, inside the default deadline."""
ANSWERED_S = 1.0
HEALTH_TELLS_S = 1.0
SERVES_AGAIN_S = 3.0
RESTARTED_S = 20.0
CHANNEL = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 50),
           ("grpc.min_reconnect_backoff_ms", 50), ("grpc.use_local_subchannel_pool", 1)]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    folder = tmp_path_factory.mktemp("killed")
    with nonce_server(folder, "--max-queue", str(IN_FLIGHT), delay_ms=DELAY_MS) as running:
        yield running


@pytest.mark.timeout(60 + 30 * KILLS)
def test_kill_9_of_triton_under_load_costs_nobody_a_wrong_or_missing_answer(server: NonceServer) -> None:
    frontend = psutil.Process(server.pid)
    held: list[tuple[int, int]] = []
    for _ in range(KILLS):
        before = belongings(server.process)
        answers, killed_at = run(_killed_under_load(server))
        _check_answers(answers, killed_at)
        assert not before.left(), f"left of the killed Triton: {before.left()}"
        assert len(belongings(server.process).regions) == len(before.regions)
        wait_until(lambda: not client_connections(server.process), 5, "the connections of the load are closed")
        held.append((frontend.num_fds(), frontend.num_threads()))
    assert held[-1][0] <= held[0][0], f"descriptors and threads after each kill: {held}"
    assert held[-1][1] <= held[0][1] + 1, f"descriptors and threads after each kill: {held}"


def _check_answers(answers: list[Answer], killed_at: float) -> None:
    for answer in answers:
        assert answer.is_right or _is_honest_refusal(answer), str(answer)
        assert answer.ended_at - killed_at - answer.lag_s < ANSWERED_S, str(answer)
    assert sum(answer.status == 503 for answer in answers) > IN_FLIGHT / 2, "the kill came too late to hit anyone"


async def _killed_under_load(server: NonceServer) -> tuple[list[Answer], float]:
    """64 requests, kill, and what must follow it; the 64 answers and when the kill was."""
    async with LoadClient(server.port) as client:
        calls = [asyncio.create_task(client.act(deadline_ms=2_000)) for _ in range(IN_FLIGHT)]
        await asyncio.sleep(1.5 * DELAY_MS / 1_000)
        assert sum(call.done() for call in calls) < IN_FLIGHT / 2
        server.process.triton().send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        tells_after_s = await _unhealthy_after_s(client, killed_at)
        answers = await asyncio.gather(*calls)
        assert tells_after_s < HEALTH_TELLS_S
        await _serves_again(server, client)
    return answers, killed_at


def _is_honest_refusal(answer: Answer) -> bool:
    return answer.status == 503 and int(answer.headers["retry-after"]) >= 1


async def _unhealthy_after_s(client: LoadClient, since: float) -> float:
    while (await client.get("/health")).status == 200:
        assert time.monotonic() - since < 3 * HEALTH_TELLS_S, "/health never said that Triton is gone"
        await asyncio.sleep(0.01)
    return time.monotonic() - since


async def _serves_again(server: NonceServer, client: LoadClient) -> None:
    """Within 3 s of the moment at which Triton itself says that the model is ready."""
    async with asyncio.timeout(RESTARTED_S):
        await _triton_ready(triton_address(server.process))
    ready_at = time.monotonic()
    while not (answer := await client.act()).is_right:
        assert _is_honest_refusal(answer), str(answer)
        assert time.monotonic() - ready_at < SERVES_AGAIN_S, f"still refused: {answer}"
        await asyncio.sleep(0.05)
    health = await client.get("/health")
    assert health.status == 200, health.body


async def _triton_ready(address: str) -> None:
    async with grpc.aio.insecure_channel(address, options=CHANNEL) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                if (await stub.ModelReady(service_pb2.ModelReadyRequest(name="nonce"), timeout=1.0)).ready:
                    return
            await asyncio.sleep(0.02)
