"""A model that does not answer: when its silence counts, and when it is the client's haste."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from reflex.errors import DeadlineExceededError, InferenceError
from support.fakes import FakeTriton, chunk, outputs
from unit.reflex_frontend.policy.inference_bench import BROKEN, INPUTS, Bench, after, on_bench


def test_a_silent_model_counts() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.fails(DeadlineExceededError, 0.5)
        assert await bench.failures_until_open() == 4

    on_bench(FakeTriton(after(60, outputs())), scenario)


def test_clients_tiny_deadlines_say_nothing_about_the_model() -> None:
    async def scenario(bench: Bench) -> None:
        await asyncio.gather(*(bench.fails(DeadlineExceededError, 0.05) for _ in range(6)))
        assert await bench.failures_until_open() == 5

    on_bench(FakeTriton(after(0.1, outputs())), scenario)


def test_a_deadline_that_passes_while_others_are_answered_does_not_count() -> None:
    async def scenario(bench: Bench) -> None:
        bench.triton.script.append(after(60, outputs()))
        slow = asyncio.create_task(bench.fails(DeadlineExceededError, 0.5))
        await asyncio.sleep(0.3)
        await bench.infer()
        await slow
        assert await bench.failures_until_open() == 5

    on_bench(FakeTriton(), scenario)


def test_deadlines_below_what_this_model_is_known_to_take_do_not_open_the_breaker() -> None:
    async def scenario(bench: Bench) -> None:
        for _ in range(2):
            await bench.infer(5)
        for _ in range(3):
            await asyncio.gather(*(bench.fails(DeadlineExceededError, 0.9) for _ in range(4)))
            await bench.runner.drain()
        assert not bench.vitals.breaker.is_open

    on_bench(FakeTriton(after(1.0, outputs())), scenario)


def test_one_call_that_is_silent_and_then_fails_counts_once() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.fails(DeadlineExceededError, 0.5)
        await bench.runner.drain()
        assert await bench.failures_until_open() == 4

    on_bench(FakeTriton(after(2, BROKEN)), scenario)


def test_the_canary_takes_no_place_and_leaves_the_breaker_to_its_caller() -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(InferenceError):
            await bench.runner.check_canary(INPUTS)
        assert bench.admission.in_flight == 0
        assert await bench.failures_until_open() == 5

    on_bench(FakeTriton(outputs(chunk(np.nan))), scenario)


def test_deadlines_shorter_than_the_models_patience_open_the_breaker_within_five() -> None:
    """A model of 200 ms and deadlines of 500 ms: no single deadline is as long as the silence that counts."""

    async def scenario(bench: Bench) -> None:
        bench.triton.default = after(0.2, outputs())
        for _ in range(3):
            await bench.infer()
        bench.triton.default = after(3600, outputs())
        for _ in range(5):
            assert not bench.vitals.breaker.is_open
            await bench.fails(DeadlineExceededError, 0.5)
        assert bench.vitals.breaker.is_open

    on_bench(FakeTriton(), scenario)


def test_hasty_clients_of_a_working_model_open_nothing() -> None:
    async def scenario(bench: Bench) -> None:
        bench.triton.default = after(0.3, outputs())
        await bench.infer()
        for _ in range(40):
            if bench.admission.in_flight < bench.admission.max_in_flight:
                await bench.fails(DeadlineExceededError, 0.01)
            await asyncio.sleep(0.1)
        assert not bench.vitals.breaker.is_open

    on_bench(FakeTriton(), scenario)


def test_a_late_failure_counts_once_though_a_silence_follows() -> None:
    async def scenario(bench: Bench) -> None:
        bench.triton.script.append(after(0.2, BROKEN))
        await bench.fails(DeadlineExceededError, deadline_s=0.1)
        await asyncio.sleep(0.2)
        await bench.fails(DeadlineExceededError)
        assert await bench.failures_until_open() == 3

    on_bench(FakeTriton(after(9.0, outputs())), scenario)


@pytest.mark.parametrize(("deadline_s", "more"), [(1.4, 5), (1.5, 4)])
def test_silence_begins_at_three_times_what_the_model_is_known_to_take(deadline_s: float, more: int) -> None:
    async def scenario(bench: Bench) -> None:
        bench.admission.service_s = 0.5
        await bench.fails(DeadlineExceededError, deadline_s=deadline_s)
        assert await bench.failures_until_open() == more

    on_bench(FakeTriton(after(9.0, outputs())), scenario)


def test_a_canary_is_an_attempt() -> None:
    async def scenario(bench: Bench) -> None:
        started = bench.now()
        await bench.runner.check_canary(INPUTS)
        assert (bench.vitals.last_attempt_at, bench.vitals.unanswered_since) == (started, started)

    on_bench(FakeTriton(after(0.5, outputs())), scenario)
