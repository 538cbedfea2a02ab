"""Answers that are held back for a trial of a slow server."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from reflex.errors import DeadlineExceededError
from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.slo import Slo
from support.fakes import FakeTriton
from unit.reflex_frontend.act.act_scene import Frontend, after, serve

MODEL_S = 0.03


def slowed(frontend: Frontend, latency_s: float = 0.15) -> Frontend:
    service = dataclasses.replace(frontend.service, injected_latency_s=latency_s)
    return dataclasses.replace(frontend, service=service)


def objective(frontend: Frontend, threshold_s: float) -> SloMonitor:
    monitor = SloMonitor(Slo(990, threshold_s), frontend.now, min_samples=1, min_slow=1)
    frontend.service.router.first.slo = monitor
    return monitor


def test_an_answer_comes_so_much_later_counts_it_in_its_latency_and_says_so() -> None:
    async def scenario(frontend: Frontend) -> None:
        began = frontend.now()
        answer = await slowed(frontend).act()
        assert frontend.now() - began == pytest.approx(0.18)
        assert answer["latency_ms"] == pytest.approx(180)
        assert answer["injected_latency_ms"] == 150.0
        assert answer["timing"]["infer_ms"] == pytest.approx(30)

    serve(scenario, FakeTriton(after(MODEL_S)))


def test_without_it_nothing_is_said() -> None:
    async def scenario(frontend: Frontend) -> None:
        assert "injected_latency_ms" not in await frontend.act()

    serve(scenario)


def test_a_deadline_holds_all_the_same() -> None:
    async def scenario(frontend: Frontend) -> None:
        began = frontend.now()
        error = await slowed(frontend).fails(DeadlineExceededError, 100)
        assert "--inject-latency-ms" in error.message
        assert frontend.now() - began == pytest.approx(0.1)

    serve(scenario, FakeTriton(after(MODEL_S)))


def test_the_model_is_free_for_others_meanwhile() -> None:
    async def scenario(frontend: Frontend) -> None:
        frontend = slowed(frontend)
        began = frontend.now()
        answers: list[dict[str, Any]] = await asyncio.gather(*(frontend.act(seed=seed) for seed in range(3)))
        assert frontend.now() - began == pytest.approx(0.21)  # two at a time in the model, and nobody waits for more
        assert len(answers) == 3

    serve(scenario, FakeTriton(after(MODEL_S)))


@pytest.mark.parametrize("deadline_ms", [1000, 120], ids=["answered", "deadline passed"])
def test_no_objective_is_missed_by_what_a_trial_adds(deadline_ms: float) -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, 0.1)
        for seed in range(5):
            act = slowed(frontend).act(deadline_ms, seed=seed)
            await asyncio.gather(act, return_exceptions=True)
        await asyncio.sleep(1.5)
        assert not monitor.is_violated

    serve(scenario, FakeTriton(after(MODEL_S)))


def test_an_objective_that_the_policy_misses_is_missed_all_the_same() -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, 0.02)
        await slowed(frontend).act()
        await asyncio.sleep(1.5)
        assert monitor.is_violated

    serve(scenario, FakeTriton(after(MODEL_S)))
