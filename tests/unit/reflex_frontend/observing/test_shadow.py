"""A shadow sees what robots see, is compared with what they were answered, and never gets in their way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest

from reflex.traces.schema import ShadowRecord
from reflex_frontend.act.act import ActService
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.observing.shadow import QUEUED_COPIES, Comparison, Shadow, compared
from reflex_frontend.triton.gateway import Outputs
from support.fakes import FakeTriton, act_service, chunk, loaded, outputs, policy_config, run_virtual

REQUEST: dict[str, Any] = {"instruction": "pick", "state": [0.1] * 6, "images": {}}
NO_CAMERA_NEEDED = policy_config(cameras={"base": False})


@dataclass
class Counts:
    """What became of the copies."""

    results: list[str] = field(default_factory=list)
    comparisons: list[tuple[Comparison, float, int]] = field(default_factory=list)

    def count_shadow(self, result: str) -> None:
        self.results.append(result)

    def observe_shadow(self, comparison: Comparison, latency_s: float, violations: int) -> None:
        self.comparisons.append((comparison, latency_s, violations))


@dataclass
class Records:
    lines: list[tuple[ShadowRecord, str | None]] = field(default_factory=list)

    def record_shadow(self, shadow: ShadowRecord, episode_id: str | None) -> None:
        self.lines.append((shadow, episode_id))


@dataclass
class Scene:
    service: ActService
    robot: FakeTriton
    other: FakeTriton
    shadow: Shadow
    counts: Counts
    records: Records
    now: Callable[[], float]

    async def act(self, **fields: Any) -> dict[str, Any]:
        exchange = Exchange.begin(self.now(), 1000)
        exchange.record_seq = 5
        answer: dict[str, Any] = orjson.loads(await self.service.answer(orjson.dumps(REQUEST | fields), exchange))
        return answer


def watch(scenario: Callable[[Scene], Coroutine[Any, Any, None]], other: FakeTriton, percent: float = 100) -> None:
    async def main(now: Callable[[], float]) -> None:
        robot = FakeTriton()
        service = act_service(robot, now, config=NO_CAMERA_NEEDED)
        counts, records = Counts(), Records()
        shadow = Shadow(loaded(other, now, config=NO_CAMERA_NEEDED), service.instance, counts, records, percent)
        object.__setattr__(service, "observers", (shadow,))
        task = asyncio.create_task(shadow.run())
        await scenario(Scene(service, robot, other, shadow, counts, records, now))
        task.cancel()

    run_virtual(main)


def slowly(seconds: float) -> Callable[[], Coroutine[Any, Any, Outputs]]:
    async def answer() -> Outputs:
        await asyncio.sleep(seconds)
        return outputs()

    return answer


def test_the_shadow_gets_the_same_inputs_and_the_same_noise() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act()
        await asyncio.sleep(0.1)
        mine, theirs = ({tensor.name: bytes(tensor.data) for tensor in triton.calls[0]}
                        for triton in (scene.robot, scene.other))  # fmt: skip
        assert mine == theirs

    watch(scenario, FakeTriton())


def test_differences_are_measured_counted_and_recorded_in_robot_units() -> None:
    moved = chunk()
    moved[2, 3] += 0.25

    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e", request_id="r")
        await asyncio.sleep(0.2)
        comparison, latency_s, _ = scene.counts.comparisons[0]
        assert comparison.max_abs == pytest.approx([0, 0, 0, 0.25, 0, 0, 0])
        assert latency_s == pytest.approx(0.05)
        record, episode = scene.records.lines[0]
        assert (record.record_seq, episode, record.policy) == (5, "e", "small@abababababab")
        assert record.cosine is not None
        assert 0.9 < record.cosine < 1

    async def answer() -> Outputs:
        await asyncio.sleep(0.05)
        return outputs(moved)

    watch(scenario, FakeTriton(answer))


def test_a_chunk_that_the_guard_would_have_changed_is_counted() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act()
        await asyncio.sleep(0.1)
        assert scene.counts.comparisons[0][2] > 0

    watch(scenario, FakeTriton(outputs(chunk(99.0))))


def test_a_hung_shadow_changes_no_answer_and_its_copies_are_dropped() -> None:
    async def scenario(scene: Scene) -> None:
        for _ in range(40):
            started = scene.now()
            await scene.act()
            assert scene.now() == started
            await asyncio.sleep(0.02)
        assert scene.counts.results.count("dropped") > 40 - 2 * QUEUED_COPIES

    watch(scenario, FakeTriton(slowly(3600)))


def test_a_shadow_that_fails_is_counted_and_recorded_as_failed() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act()
        await asyncio.sleep(0.1)
        assert scene.counts.results == ["failed"]
        assert scene.records.lines[0][0].error == "non_finite_action"

    watch(scenario, FakeTriton(outputs(chunk(np.nan))))


def test_it_waits_until_nobody_is_being_answered() -> None:
    async def scenario(scene: Scene) -> None:
        scene.service.instance.answering = 1
        await scene.act()
        await asyncio.sleep(0.1)
        assert not scene.other.calls
        scene.service.instance.answering = 0
        await asyncio.sleep(0.1)
        assert scene.counts.results == ["compared"]

    watch(scenario, FakeTriton())


def test_a_server_that_is_never_idle_drops_its_copies() -> None:
    async def scenario(scene: Scene) -> None:
        scene.service.instance.answering = 1
        await scene.act()
        await asyncio.sleep(2)
        assert scene.counts.results == ["dropped"]
        assert not scene.other.calls

    watch(scenario, FakeTriton())


def test_only_the_wanted_share_is_looked_at() -> None:
    async def scenario(scene: Scene) -> None:
        draws = iter([0.1, 0.3, 0.24, 0.26])
        scene.shadow.draw = lambda: next(draws)
        for _ in range(4):
            await scene.act()
            await asyncio.sleep(0.1)
        assert len(scene.other.calls) == 2

    watch(scenario, FakeTriton(), percent=25)


def test_chunks_of_different_lengths_are_compared_over_the_shorter() -> None:
    long = np.concatenate([chunk(1.0), chunk(9.0)])
    comparison = compared(chunk(1.0), long)
    assert comparison.cosine == pytest.approx(1.0)
    assert comparison.max_abs == (0.0,) * 7


def test_the_cosine_of_a_chunk_of_zeros_is_one() -> None:
    assert compared(chunk(0.0), chunk(0.0)).cosine == 1.0
