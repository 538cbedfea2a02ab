"""Calls of a strict server of HTTP/2 through the frontend's channel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc.aio
import pytest

from reflex_frontend.triton.channel import SERVICE, Channel
from support.streams.http2_peer import Asked, Http2Peer, http2_peer
from support.waiting import HANGS_S

__all__ = ["PATH", "ask", "failure", "held", "with_peer"]

PATH: Final = f"{SERVICE}ModelInfer"
Scenario = Callable[[Channel], Awaitable[Any]]


def with_peer(peer: Http2Peer, scenario: Scenario, run: Callable[..., Any] = asyncio.run) -> Any:
    """Nothing that goes wrong on the loop stays unheard."""

    async def main() -> Any:
        unheard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
        async with http2_peer(peer) as address, Channel(address) as channel, asyncio.timeout(HANGS_S):
            given = await scenario(channel)
        assert not unheard
        return given

    return run(main())


async def ask(channel: Channel, message: bytes = b"?", timeout_s: float | None = HANGS_S) -> bytes:
    return await channel.call(PATH, message, timeout_s=timeout_s)


async def failure(channel: Channel, message: bytes = b"?", timeout_s: float | None = HANGS_S) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(channel, message, timeout_s)
    return caught.value


def held() -> tuple[Http2Peer, list[Asked]]:
    """A server that answers only when the test says so."""
    waiting: list[Asked] = []
    return Http2Peer(answer=lambda _peer, asked: waiting.append(asked)), waiting
