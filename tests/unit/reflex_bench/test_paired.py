"""The measure of `make bench-rollout`: a ratio with an honest interval, and requests in turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pytest

from reflex_bench.paired import Target, in_turns, ratio_of_medians
from support.waiting import eventually


def test_the_ratio_is_that_of_the_medians() -> None:
    ratio = ratio_of_medians(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 4.0]))
    assert ratio.value == 2.0
    assert ratio.low <= ratio.value <= ratio.high


@pytest.mark.slow
@pytest.mark.parametrize("true_ratio", [0.9, 1.0, 1.1])
def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says(true_ratio: float) -> None:
    generator = np.random.default_rng(7)
    held = 0
    for _ in range(60):
        mood = generator.lognormal(0.0, 0.2, 100)
        without, with_it = (mood * generator.lognormal(0.0, 0.05, 100) for _ in range(2))
        ratio = ratio_of_medians(true_ratio * with_it, without)
        held += ratio.low <= true_ratio <= ratio.high
    assert held >= 51


def test_what_slows_both_down_in_a_round_does_not_widen_the_interval_much() -> None:
    generator = np.random.default_rng(1)
    mood = generator.lognormal(0.0, 0.3, 400)
    paired = ratio_of_medians(1.02 * mood, mood)
    apart = ratio_of_medians(1.02 * mood, generator.permutation(mood))
    assert paired.high - paired.low < (apart.high - apart.low) / 2


@dataclass
class Fake:
    """A server that answers with one status, and writes down who asked it."""

    status: int = 200
    asked: list[bytes] = field(default_factory=list)
    port: int = 0
    open: set[asyncio.Transport] = field(default_factory=set)
    """Its ends of the connections."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Fake]:
        server = await asyncio.get_running_loop().create_server(lambda: _Answering(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            for transport in set(self.open):
                transport.abort()
            await eventually(lambda: not self.open, "its ends of the connections are closed")


@dataclass
class _Answering(asyncio.Protocol):
    fake: Fake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.fake.open.add(self.transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.fake.open.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.fake.asked.append(data)
        self.transport.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % self.fake.status)


def test_every_target_is_asked_once_a_round_and_the_first_rounds_are_left_out() -> None:
    async def scenario() -> None:
        async with Fake().running() as server:
            targets = [Target(name, server.port, name.encode()) for name in ("one", "two")]
            seconds = await in_turns(targets, 5, 1000.0, warm_up_rounds=2)
        rounds = [set(server.asked[start : start + 2]) for start in range(0, 14, 2)]
        assert rounds == [{b"one", b"two"}] * 7
        assert {name: len(some) for name, some in seconds.items()} == {"one": 5, "two": 5}
        assert len(set(map(tuple, np.reshape(server.asked, (7, 2)).tolist()))) == 2, "always in the same order"

    asyncio.run(scenario())


def test_an_answer_that_is_no_200_ends_the_measurement() -> None:
    async def scenario() -> None:
        async with Fake(status=503).running() as server:
            with pytest.raises(RuntimeError, match="one: status 503"):
                await in_turns([Target("one", server.port, b"x")], 1, 1000.0)

    asyncio.run(scenario())
