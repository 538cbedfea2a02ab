"""The calls of the benchmark: `/act`, the same observation straight to Triton, and a GET. Each answer is checked."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

from reflex_bench.http_load import Asker, http_request
from reflex_bench.loads import Call
from reflex_bench.observation import act_request, act_tensors
from reflex_bench.server import Served
from reflex_frontend.policy.policy import load_policy
from reflex_frontend.triton.gateway import TritonGateway

__all__ = ["act_calls", "direct_calls", "get_call"]


async def act_calls(served: Served, image: str, count: int) -> list[Call]:
    """`count` clients of /act, each with its own connection and its own nonces, each answer checked."""
    nonces = itertools.count(1)
    body = act_request(0.0, image)
    head, _, rest = body.partition(b'"state": [0.0')
    padded = b'"state": ['

    async def client() -> Call:
        asker = await Asker.connected(served.port)

        async def call() -> None:
            nonce = next(nonces) % 900 + 100
            answer = await asker.send(head + padded + b"%d" % nonce + rest)
            if answer.status != 200 or not answer.body.startswith(b'{"actions":[[%d.0,' % nonce):
                raise RuntimeError(f"status {answer.status}, or the answer to another request: {answer.body[:200]!r}")

        return call

    return [await client() for _ in range(count)]


def direct_calls(served: Served, image: str, count: int) -> tuple[list[Call], Callable[[], Awaitable[None]]]:
    """The same observation as tensors over the same gRPC stub that the frontend uses."""
    policy = load_policy(served.repository, None)
    gateway = TritonGateway(served.triton, policy.config.policy_id)
    tensors = act_tensors(policy, 7.0, image)

    async def call() -> None:
        outputs = await gateway.infer(tensors)
        if outputs["actions"][0, 0, 0] != 7.0:
            raise RuntimeError("the answer to another request")

    return [call] * count, gateway.close


async def get_call(served: Served, path: str) -> Call:
    asker = await Asker.connected(served.port)
    request = http_request("GET", path)

    async def call() -> None:
        answer = await asker.send(request)
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.body[:200]!r}")

    return call
