"""Two policies that share the episodes: each continues its own chunks, and never the other's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from reflex.api_keys import KeyEntry, add_entry, digest_of, new_key
from reflex_frontend.callers.keys import KeyRing
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.motion.rtc import RealTimeChunking
from support.fakes import act_service, run_virtual
from support.motion.continuing import PlanningTriton, continuing_config, guidance_of
from unit.reflex_frontend.act.act_scene import GOOD, Clock, Frontend
from unit.reflex_frontend.motion.rtc_scene import padded

HORIZON = 20


def two(scenario: Callable[[Frontend, PlanningTriton, PlanningTriton], Coroutine[Any, Any, None]], split: int) -> None:
    first, second = PlanningTriton(horizon=HORIZON), PlanningTriton(horizon=HORIZON)
    other = continuing_config(horizon=HORIZON, policy_id="other", export_id="export-0002")

    async def main(now: Clock) -> None:
        service = act_service(
            first, now, guarded=False, config=continuing_config(horizon=HORIZON), second=second, second_config=other,
            split=split,
        )  # fmt: skip
        service = dataclasses.replace(service, rtc=RealTimeChunking(now))
        await scenario(Frontend(service, first, now), first, second)

    run_virtual(main)


def test_episodes_keep_to_their_slot_and_its_plans() -> None:
    async def scenario(frontend: Frontend, first: PlanningTriton, second: PlanningTriton) -> None:
        for _ in range(2):
            for number in range(12):
                answer = await frontend.act(episode_id=f"e{number}", executed_steps=2)
        assert answer["rtc_applied"]
        for triton in (first, second):
            half = len(triton.calls) // 2
            assert half > 0
            for call, plan in zip(triton.calls[half:], triton.plans[:half], strict=True):
                np.testing.assert_array_equal(guidance_of(call)[0], padded(plan[2:], HORIZON))

    two(scenario, split=50)


def test_while_a_slot_is_out_the_other_one_begins_anew_and_so_does_the_slot_when_it_is_back() -> None:
    async def scenario(frontend: Frontend, first: PlanningTriton, second: PlanningTriton) -> None:
        async def act() -> tuple[object, ...]:
            answer = await frontend.act(episode_id="e", executed_steps=1)
            return answer["policy_slot"], answer["rtc_applied"], answer.get("rtc_reason")

        breaker = frontend.service.router.slots["a"].loaded.vitals.breaker
        assert [await act(), await act()] == [("a", False, "first_chunk"), ("a", True, None)]
        breaker.open("gone")
        assert [await act(), await act()] == [("b", False, "policy_changed"), ("b", True, None)]
        np.testing.assert_array_equal(guidance_of(second.calls[-1])[0], padded(second.plans[0][1:], HORIZON))
        breaker.close()
        assert [await act(), await act()] == [("a", False, "policy_changed"), ("a", True, None)]
        np.testing.assert_array_equal(guidance_of(first.calls[-1])[0], padded(first.plans[-2][1:], HORIZON))

    two(scenario, split=100)


def test_a_policy_that_is_replaced_in_mid_episode_costs_one_chunk_that_begins_anew() -> None:
    async def scenario(frontend: Frontend, _first: PlanningTriton, second: PlanningTriton) -> None:
        slots = frontend.service.router.slots
        await frontend.act(episode_id="e", executed_steps=1)
        slots["a"].loaded = slots["b"].loaded  # as Rollout does it: the slot's policy is swapped whole
        answers = [await frontend.act(episode_id="e", executed_steps=1) for _ in range(3)]
        assert [answer.get("rtc_reason") for answer in answers] == ["policy_changed", None, None]
        np.testing.assert_array_equal(guidance_of(second.calls[-1])[0], padded(second.plans[-2][1:], HORIZON))

    two(scenario, split=100)


def test_whoever_has_another_key_has_no_part_in_an_episode_and_a_renewed_key_has(tmp_path: Path) -> None:
    keys = {name: new_key() for name in ("mine", "others", "renewed")}
    for name, key in keys.items():
        add_entry(tmp_path / "keys", KeyEntry("mine" if name == "renewed" else name, digest_of(key.encode())))

    async def scenario(frontend: Frontend, _first: PlanningTriton, _second: PlanningTriton) -> None:
        ring = KeyRing.read(tmp_path / "keys", frontend.now)
        service = dataclasses.replace(frontend.service, keys=ring)

        async def reason(name: str) -> object:
            exchange = Exchange.begin(frontend.now(), 1_000)
            await service.check_caller([(b"x-reflex-key", keys[name].encode())], exchange)
            body = orjson.dumps({**GOOD, "episode_id": "e", "executed_steps": 1})
            return orjson.loads(await service.answer(body, exchange)).get("rtc_reason")

        assert [await reason(name) for name in ("mine", "others", "mine", "renewed")] == [
            "first_chunk", "first_chunk", None, None,
        ]  # fmt: skip

    two(scenario, split=100)
