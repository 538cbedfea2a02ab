"""One inference with a loaded policy: what holds a place in flight, and what does not."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from reflex_frontend.observation.request import ActRequest, parse_act
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.policy.stage_times import StageTimes
from reflex_frontend.policy.workers import Workers
from support.fakes import FakeTriton, loaded, outputs, run_virtual

Clock = Callable[[], float]
T = TypeVar("T")
DEADLINE_S = 5.0


class HeldExecutor(Executor):
    """Begins nothing until it is let go."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        self.held.append((future, lambda: fn(*args, **kwargs)))
        return future

    def let_go(self) -> None:
        for future, function in self.held:
            future.set_result(function())


def request(side_px: int, kind: str = "JPEG") -> ActRequest:
    encoded = io.BytesIO()
    Image.fromarray(np.zeros((side_px, side_px, 3), np.uint8)).save(encoded, kind)
    image = base64.b64encode(encoded.getvalue()).decode()
    state = ", ".join(["0.0"] * 6)
    return parse_act(f'{{"instruction": "", "state": [{state}], "image_b64": "{image}"}}'.encode())


def held(now: Clock, triton: FakeTriton) -> tuple[LoadedPolicy, HeldExecutor]:
    """One place in flight, and pictures that take until they are let go."""
    executor = HeldExecutor()
    policy = dataclasses.replace(loaded(triton, now), workers=Workers(executor, now))
    policy.admission.resize(1, 0)
    return policy, executor


async def ask(policy: LoadedPolicy, wanted: ActRequest, now: Clock) -> StageTimes:
    times = StageTimes()
    await policy.answer(wanted, now() + DEADLINE_S, times)
    return times


def test_a_picture_that_takes_long_to_decode_holds_no_place_and_nobody_up() -> None:
    async def main(now: Clock) -> None:
        policy, executor = held(now, FakeTriton())
        slow = [asyncio.create_task(ask(policy, each, now)) for each in (request(1200), request(64, "PNG"))]
        await asyncio.sleep(1)
        assert policy.admission.in_flight == 0
        for _ in range(3):
            quick = await ask(policy, request(64), now)
            assert quick.guarded_at == quick.routed_at == now()
        executor.let_go()
        first, _ = await asyncio.gather(*slow, return_exceptions=True)
        assert isinstance(first, StageTimes)
        assert first.decoded_at == now()
        assert policy.admission.in_flight == 0

    run_virtual(main)


def test_pictures_are_decoded_while_the_request_waits_so_that_its_place_is_used_at_once() -> None:
    async def main(now: Clock) -> None:
        async def slowly() -> dict[str, Any]:
            await asyncio.sleep(1)
            return dict(outputs())

        policy, _ = held(now, FakeTriton(slowly))
        policy.admission.resize(1, 1)
        first = asyncio.create_task(ask(policy, request(64), now))
        await asyncio.sleep(0.5)
        second = await ask(policy, request(64), now)
        await first
        assert second.decoded_at is not None
        assert second.queued_at == second.decoded_at + 0.5
        assert second.inferred_at == second.queued_at + 1

    run_virtual(main)


def test_nothing_is_decoded_for_whom_the_queue_has_no_room_and_the_queue_says_so() -> None:
    async def main(now: Clock) -> None:
        policy, executor = held(now, FakeTriton())
        await policy.admission.enter(now() + DEADLINE_S)
        times = StageTimes()
        refused = await asyncio.gather(policy.answer(request(1200), now() + DEADLINE_S, times), return_exceptions=True)
        assert getattr(refused[0], "code", None) == "queue_full"
        assert executor.held == []
        assert (times.decoded_at, times.queued_at) == (times.routed_at, None)

    run_virtual(main)
