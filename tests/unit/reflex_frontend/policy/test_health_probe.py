"""How the watch finds out that the policy can answer, no longer can, and can again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from reflex_frontend.errors import TritonCallError
from reflex_frontend.policy.admission import Admission
from reflex_frontend.policy.breaker import Breaker
from reflex_frontend.policy.health_probe import HealthProbe
from reflex_frontend.policy.inference import ModelRunner
from reflex_frontend.policy.policy import Canary
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.triton.gateway import PROBE_TIMEOUT_S, Outputs, RawTensor
from support.fakes import FakeTriton, chunk, outputs, run_virtual, served_policy

Clock = Callable[[], float]
CANARY = Canary([RawTensor("state", "FP32", (1, 1), b"abcd")], expected=chunk(), tolerance=1e-3)


@dataclass
class Scene:
    """A running watch over a Triton that the test plays with."""

    triton: FakeTriton
    now: Clock
    vitals: Vitals
    silences_s: list[float] = field(default_factory=list)

    def note_silence(self, silent_s: float) -> bool:
        self.silences_s.append(silent_s)
        return False

    async def until(self, condition: Callable[[], bool]) -> float:
        """Seconds until it came true."""
        started = self.now()
        while not condition():  # noqa: ASYNC110 - the watch announces nothing; virtual time makes asking free
            await asyncio.sleep(0.01)
        return self.now() - started

    async def until_ready(self) -> None:
        await self.until(lambda: self.vitals.status()[0] == "ready")

    async def until_open(self) -> float:
        return await self.until(lambda: self.vitals.breaker.is_open)

    async def until_closed(self) -> float:
        return await self.until(lambda: not self.vitals.breaker.is_open)


@contextlib.asynccontextmanager
async def watching(triton: FakeTriton, now: Clock, canary: Canary | None) -> AsyncIterator[Scene]:
    vitals = Vitals(now, Breaker(now, jitter=lambda: 0.5))
    scene = Scene(triton, now, vitals)
    runner = ModelRunner(served_policy(), triton, Admission("small", 2, 2, now), vitals)
    task = asyncio.create_task(HealthProbe(triton, runner, vitals, canary, on_hang=scene.note_silence).run())
    try:
        async with asyncio.timeout(600):
            yield scene
        assert not task.done(), "the watch ended by itself"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def watch_over(
    triton: FakeTriton, scenario: Callable[[Scene], Coroutine[Any, Any, None]], canary: Canary | None = CANARY
) -> None:
    async def main(now: Clock) -> None:
        async with watching(triton, now, canary) as scene:
            await scenario(scene)

    run_virtual(main)


async def never() -> Outputs:
    await asyncio.sleep(3600)
    return outputs()


def test_no_request_passes_before_triton_is_ready_and_the_canary_has_its_answer() -> None:
    async def scenario(scene: Scene) -> None:
        await asyncio.sleep(3)
        assert scene.vitals.status() == ("warming", "starting")
        assert not scene.triton.calls
        scene.triton.ready = True
        await asyncio.sleep(0.2)
        assert scene.vitals.status() == ("ready", None)
        assert scene.triton.calls == [CANARY.inputs]

    watch_over(FakeTriton(ready=False), scenario)


def test_ready_means_that_every_instance_has_had_two_turns_with_the_right_answer() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until(lambda: len(scene.triton.calls) >= 6)
        assert scene.vitals.status()[0] == "warming"
        scene.triton.default = outputs()
        await scene.until_ready()
        assert len(scene.triton.calls) == 12

    right = [outputs()] * 5
    watch_over(FakeTriton(outputs(chunk(0.5)), deque(right), instances=3), scenario)


def test_without_a_canary_a_ready_model_is_enough() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        assert not scene.triton.calls

    watch_over(FakeTriton(), scenario, canary=None)


@pytest.mark.parametrize(
    "answer",
    [outputs(chunk() + np.float32(0.01)), outputs(chunk(np.nan)), {}, TritonCallError("model", "no"), never],
    ids=["wrong", "not finite", "no actions", "failure", "silence"],
)
def test_a_wrong_canary_keeps_the_policy_out_of_service_and_says_why(answer: Any) -> None:
    async def scenario(scene: Scene) -> None:
        await asyncio.sleep(30)
        status, reason = scene.vitals.status()
        assert status == "warming"
        assert reason is not None
        assert "canary" in reason
        scene.triton.default = outputs()
        await scene.until_ready()

    watch_over(FakeTriton(answer), scenario)


def test_a_stored_answer_that_is_not_finite_is_no_reason_to_trust_the_model() -> None:
    async def scenario(scene: Scene) -> None:
        await asyncio.sleep(1)
        assert scene.vitals.status()[0] == "warming"

    watch_over(FakeTriton(), scenario, Canary(CANARY.inputs, expected=chunk(np.nan), tolerance=1e-3))


def test_a_canary_that_stays_wrong_is_not_asked_many_times_a_second() -> None:
    async def scenario(scene: Scene) -> None:
        await asyncio.sleep(10)
        assert len(scene.triton.calls) <= 20

    watch_over(FakeTriton(outputs(chunk(0.0))), scenario)


def test_an_idle_instance_runs_the_canary_every_five_seconds() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        await asyncio.sleep(30)
        assert 5 <= len(scene.triton.calls) - 1 <= 6

    watch_over(FakeTriton(), scenario)


def test_an_instance_that_answers_requests_needs_no_canary_and_no_pulse() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        scene.triton.live_probes = 0
        for _ in range(200):
            scene.vitals.record_success()
            await asyncio.sleep(0.1)
        assert len(scene.triton.calls) == 1
        assert scene.triton.live_probes == 0

    watch_over(FakeTriton(), scenario)


def test_one_missed_pulse_is_forgiven_and_two_open_the_breaker() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        await asyncio.sleep(1)
        scene.triton.live = False
        await scene.until(lambda: bool(scene.silences_s))
        assert not scene.vitals.breaker.is_open
        scene.triton.live = True
        await asyncio.sleep(1)
        assert not scene.vitals.breaker.is_open
        scene.triton.live = False
        assert await scene.until_open() < 1.0
        assert scene.vitals.status() == ("degraded", "Triton does not answer")

    watch_over(FakeTriton(), scenario)


@pytest.mark.parametrize("since_answer_s", [0.0, 0.05, 0.1, 0.15, 0.19])
def test_a_triton_that_hangs_is_out_of_service_within_a_second(since_answer_s: float) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        await asyncio.sleep(1 + since_answer_s)
        scene.vitals.record_success()
        scene.triton.live = False
        assert await scene.until_open() <= 1.0

    watch_over(FakeTriton(silence_s=PROBE_TIMEOUT_S), scenario)


@pytest.mark.parametrize("failed", [0, 1, 2])
def test_every_instance_of_a_triton_that_comes_back_is_probed_at_once_and_to_the_end(failed: int) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        scene.triton.live = False
        await scene.until_open()
        await asyncio.sleep(20)
        for _ in range(5):
            scene.vitals.breaker.probe_failed("still away")
        assert scene.vitals.breaker.probe_in_s > 4
        scene.triton.calls.clear()
        scene.triton.script.extend([TritonCallError("model", "no")] * failed)
        scene.triton.live = True
        assert await scene.until_closed() < 0.5 + 10 * failed
        assert len(scene.triton.calls) == failed + 2 * 3
        assert scene.vitals.status() == ("ready", None)

    watch_over(FakeTriton(instances=3), scenario)


def test_a_triton_that_is_ready_but_wrong_is_asked_ever_more_rarely() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        scene.triton.default = outputs(chunk(0.0))
        scene.vitals.breaker.open("wrong answers")
        scene.triton.calls.clear()
        await asyncio.sleep(60)
        assert 10 <= len(scene.triton.calls) <= 20
        assert "canary" in (scene.vitals.breaker.reason or "")
        scene.triton.default = outputs()
        assert await scene.until_closed() < 7

    watch_over(FakeTriton(), scenario)


def test_the_owner_of_triton_is_told_of_a_growing_silence_until_it_ends() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        scene.triton.live = False
        await asyncio.sleep(5)
        scene.triton.live = True
        await scene.until_closed()
        told = list(scene.silences_s)
        assert told[0] == 0
        assert told == sorted(told)
        assert 4 < told[-1] <= 5
        scene.triton.live = False
        await asyncio.sleep(1)
        assert scene.silences_s[len(told)] == 0

    watch_over(FakeTriton(), scenario)


def test_a_hang_in_the_middle_of_an_idle_canary_is_noticed_like_any_other() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        scene.triton.default = never
        await scene.until(lambda: len(scene.triton.calls) > 1)
        scene.triton.live = False
        assert await scene.until_open() <= 1.5

    watch_over(FakeTriton(), scenario)


def test_an_idle_canary_with_the_wrong_answer_takes_the_policy_out_of_service_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        scene.triton.default = outputs(chunk(0.0))
        assert await scene.until_open() < 6

    with caplog.at_level(logging.WARNING, "reflex"):
        watch_over(FakeTriton(), scenario)


def test_a_suspect_model_is_judged_by_the_canary_at_once() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        scene.triton.default = outputs(np.full_like(chunk(), np.nan))
        scene.vitals.suspect("an answer was not finite")
        assert await scene.until_open() < 0.05

    watch_over(FakeTriton(), scenario)


def test_a_suspect_model_with_a_right_canary_stays_in_service() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        scene.vitals.suspect("an answer was not finite")
        await asyncio.sleep(1.0)
        assert scene.vitals.suspicion is None
        assert scene.vitals.status() == ("ready", None)

    watch_over(FakeTriton(), scenario)


def test_without_a_canary_every_suspicion_counts_as_a_failure() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        for _ in range(4):
            scene.vitals.suspect("an answer was not finite")
            await asyncio.sleep(0.2)
        assert not scene.vitals.breaker.is_open
        scene.vitals.suspect("an answer was not finite")
        await scene.until_open()

    watch_over(FakeTriton(), scenario, canary=None)


async def slow_answer() -> Outputs:
    await asyncio.sleep(12)
    return outputs()


def test_a_model_that_takes_twelve_seconds_becomes_ready() -> None:
    async def scenario(scene: Scene) -> None:
        assert 12 <= await scene.until(lambda: scene.vitals.status()[0] == "ready") < 13

    watch_over(FakeTriton(slow_answer), scenario)


def test_an_idle_slow_model_spends_little_of_its_time_on_canaries() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        await asyncio.sleep(290)
        assert 3 <= len(scene.triton.calls) - 1 <= 5
        assert scene.vitals.status() == ("ready", None)

    watch_over(FakeTriton(slow_answer), scenario)


def test_a_policy_that_is_being_loaded_on_a_live_triton_is_no_hang() -> None:
    """Loading takes minutes for a large engine, and killing Triton would take every other policy with it."""

    async def scenario(scene: Scene) -> None:
        await scene.until_ready()
        scene.triton.ready = False
        scene.vitals.breaker.open("a process of the model died")
        await asyncio.sleep(60)
        assert scene.silences_s == []
        scene.triton.ready = True
        assert await scene.until_closed() < 1

    watch_over(FakeTriton(), scenario)
