"""A model goes bad: its answers reach no robot, the breaker opens, and closes by itself once the model is good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from reflex_bench.nonce_policy import Fault
from support.load import LoadClient, run
from support.nonce_server import NonceServer, nonce_server
from support.promise import Promise
from support.waiting import eventually

pytestmark = pytest.mark.slow

FAILURES_THAT_OPEN = 5
MOST_CANARIES = 5
"""One that is under way, of the fault before, may meet the next one before a request does: then that is tried again."""
CLOSED_AGAIN_S = 8.0
"""The probes' delay doubles up to 5 s, with jitter, while the fault lasts."""
REPLACED_S = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NonceServer]:
    with nonce_server(tmp_path_factory.mktemp("bad")) as running:
        yield running


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("nan", "non_finite_action"),
        ("inf", "non_finite_action"),
        ("wrong_shape", "inference_failed"),
        ("error", "inference_failed"),
    ],
)
def test_a_bad_answer_is_a_500_then_the_breaker_opens_and_the_canary_closes_it(
    server: NonceServer, promise: Promise, fault: Fault, code: str
) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            for _ in range(MOST_CANARIES):
                server.behave()
                await eventually(partial(_is_healthy, client), "the breaker is closed")
                assert (await client.act()).is_right
                server.behave(fault=fault)
                codes = [(await client.act()).code for _ in range(FAILURES_THAT_OPEN + 3)]
                if codes[0] == code:
                    break
            failures = codes.count(code)
            assert 1 <= failures <= FAILURES_THAT_OPEN, codes
            assert codes == [code] * failures + ["circuit_open"] * (len(codes) - failures)
            refusal = await client.act()
            assert (refusal.status, refusal.code) == (503, "circuit_open")
            assert int(refusal.headers["retry-after"]) >= 1
            health = await client.get("/health")
            assert health.status == 503
            assert b"degraded" in health.body
            server.behave()
            closed_after_s = await eventually(partial(_is_healthy, client), "the breaker closes without a request")
            promise("the breaker closes by itself once the model is good", closed_after_s, at_most=CLOSED_AGAIN_S)
            assert (await client.act()).is_right

    run(scenario())


def test_a_model_process_that_dies_is_replaced_and_nobody_gets_a_wrong_answer(
    server: NonceServer, promise: Promise
) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            server.behave(fault="exit")
            lost = await asyncio.gather(*(client.act(deadline_ms=1_000) for _ in range(4)))
            server.behave()

            async def is_answered() -> bool:
                answer = await client.act(deadline_ms=1_000)
                lost.extend([] if answer.is_right else [answer])
                return answer.is_right

            replaced_after_s = await eventually(is_answered, "the model process is replaced")
            promise("a model process that died is replaced", replaced_after_s, at_most=REPLACED_S)
        for answer in lost:
            assert answer.status in (500, 503, 504), str(answer)
            assert answer.status != 503 or int(answer.headers["retry-after"]) >= 1

    run(scenario())
    server.process.wait_ready()


def test_bad_images_of_one_client_never_open_the_breaker(server: NonceServer) -> None:
    async def scenario() -> None:
        async with LoadClient(server.port) as client:
            for _ in range(4 * FAILURES_THAT_OPEN):
                answer = await client.act(image_b64="bm90IGFuIGltYWdl")
                assert (answer.status, answer.code) == (400, "invalid_image")
            assert (await client.get("/health")).status == 200
            assert (await client.act()).is_right

    run(scenario())


async def _is_healthy(client: LoadClient) -> bool:
    return (await client.get("/health")).status == 200
