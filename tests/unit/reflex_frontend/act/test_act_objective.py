"""What a missed latency objective changes for a request, and which requests count towards it."""

from __future__ import annotations

import asyncio

import orjson

from reflex.errors import DeadlineExceededError, UnavailableError
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.slo import Slo, SloMode
from support.fakes import FakeTriton, loaded, policy_config
from unit.reflex_frontend.act.act_scene import GOOD, Frontend, after, serve


def objective(frontend: Frontend, mode: SloMode, *, reduced: FakeTriton | None = None) -> SloMonitor:
    """An objective that is missed already."""
    monitor = SloMonitor(Slo(990, 0.1), frontend.now, min_samples=1, min_slow=1)
    monitor.record(0.5)
    slot = frontend.service.router.first
    slot.slo, slot.slo_mode = monitor, mode
    if reduced is not None:
        slot.variants = (loaded(reduced, frontend.now, config=policy_config(denoising_steps=4)),)
    return monitor


def test_a_missed_objective_refuses_before_the_model_runs_and_lets_a_few_find_out() -> None:
    async def scenario(frontend: Frontend) -> None:
        objective(frontend, "refuse")
        await asyncio.sleep(1.5)
        await frontend.act()
        for _ in range(10):
            error = await frontend.fails(UnavailableError)
            assert (error.code, error.status) == ("slo_violation", 503)
            assert error.retry_after_s
        assert len(frontend.triton.calls) == 1

    serve(scenario)


def test_a_missed_objective_runs_fewer_steps_and_says_so() -> None:
    reduced = FakeTriton()

    async def scenario(frontend: Frontend) -> None:
        objective(frontend, "degrade", reduced=reduced)
        assert (await frontend.act())["denoising_steps"] == 10
        await asyncio.sleep(1.5)
        assert (await frontend.act())["denoising_steps"] == 4
        await asyncio.sleep(60)
        assert (await frontend.act())["denoising_steps"] == 10
        assert (len(reduced.calls), len(frontend.triton.calls)) == (1, 2)

    serve(scenario)


def test_a_missed_objective_that_is_only_logged_changes_nothing() -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, "log")
        await asyncio.sleep(1.5)
        assert monitor.is_violated
        assert (await frontend.act())["denoising_steps"] == 10

    serve(scenario)


def test_a_deadline_that_passed_counts_as_slow() -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, "log")
        monitor.record(0.5)
        await asyncio.sleep(60)
        assert not monitor.is_violated
        await frontend.fails(DeadlineExceededError, 300)
        await asyncio.sleep(1.5)
        assert monitor.is_violated

    serve(scenario, FakeTriton(after(0.6)))


def test_a_robot_with_a_slow_network_does_not_spoil_the_objective_for_the_others() -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, "log").renewed()
        frontend.service.router.first.slo = monitor
        for _ in range(5):
            body = orjson.dumps(GOOD)
            await frontend.service.answer(body, Exchange.begin(frontend.now() - 0.6, 2000))
        await asyncio.sleep(1.5)
        assert not monitor.is_violated

    serve(scenario)


def test_a_deadline_shorter_than_the_objective_says_nothing_about_it() -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, "log").renewed()
        frontend.service.router.first.slo = monitor
        for _ in range(5):
            await frontend.fails(DeadlineExceededError, 50)
            await asyncio.sleep(0.6)
        assert monitor.percentile_s is None

    serve(scenario, FakeTriton(after(0.5)))


def test_a_variant_that_is_out_is_not_asked_in_the_full_policys_place() -> None:
    reduced = FakeTriton()

    async def scenario(frontend: Frontend) -> None:
        objective(frontend, "degrade", reduced=reduced)
        await asyncio.sleep(1.5)
        variant = frontend.service.router.first.reduced
        assert variant is not None
        variant.vitals.warming_reason = "the canary's answer is off"
        assert (await frontend.act())["denoising_steps"] == 10
        assert not reduced.calls

    serve(scenario)
