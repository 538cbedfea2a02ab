"""Denoising steps by episode, through the whole of /act: what each request takes, and whose memory that is."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from reflex.serving.step_rule import CALM_ANSWERS
from reflex_frontend.act.act import ActService
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.motion.adaptive import AdaptiveSteps
from reflex_frontend.motion.leftovers import KEPT_S
from reflex_frontend.motion.rtc import Asked, RealTimeChunking
from reflex_frontend.observation.request import ActRequest
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from support.fakes import act_service, loaded, run_virtual
from support.motion.continuing import continuing_config
from unit.reflex_frontend.act.act_scene import GOOD, Clock
from unit.reflex_frontend.motion.adaptive_scene import EASY, HARD, BendingTriton, Bends
from unit.reflex_frontend.motion.rtc_scene import session

STEPS = (10, 5, 3)
CONFIGS = {
    steps: continuing_config(
        horizon=20, denoising_steps=steps, policy_id=f"p{steps}", components={"encoder": "p_encoder"}
    )
    for steps in STEPS
}


@dataclass
class Scene:
    service: ActService
    bends: Bends
    tritons: dict[int, BendingTriton]
    now: Clock

    @property
    def adaptive(self) -> AdaptiveSteps:
        assert self.service.adaptive is not None
        return self.service.adaptive

    @property
    def variants(self) -> tuple[LoadedPolicy, ...]:
        return self.service.router.first.variants

    async def act(self, session_id: str | None = None, **changes: Any) -> dict[str, Any]:
        exchange = Exchange.begin(self.now(), 10_000)
        exchange.session = None if session_id is None else session(session_id)
        body = orjson.dumps({**GOOD, "episode_id": "e", **changes})
        answer: dict[str, Any] = orjson.loads(await self.service.answer(body, exchange))
        await asyncio.sleep(0.1)
        return answer

    async def steps(self, count: int, **changes: Any) -> list[int]:
        return [(await self.act(**changes))["denoising_steps"] for _ in range(count)]


def play(scenario: Callable[[Scene], Coroutine[Any, Any, None]], *, rtc: bool = False, tells: bool = False) -> None:
    bends = Bends()
    tritons = {steps: BendingTriton(horizon=20, steps=steps, bends=bends) for steps in STEPS}

    async def main(now: Clock) -> None:
        service = act_service(tritons[10], now, config=CONFIGS[10], guarded=False)
        first = service.router.first
        first.variants = tuple(loaded(tritons[steps], now, config=CONFIGS[steps], guarded=False) for steps in STEPS[1:])
        chunking = RealTimeChunking(now) if rtc else None
        service = dataclasses.replace(service, adaptive=AdaptiveSteps(now), rtc=chunking, tells_velocity_change=tells)
        await scenario(Scene(service, bends, tritons, now))

    run_virtual(main)


def test_an_easy_episode_goes_down_one_variant_at_a_time_and_the_answer_tells_the_truth() -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.steps(8) == [10, 10, 10, 5, 5, 5, 3, 3]
        assert {steps: len(triton.calls) for steps, triton in scene.tritons.items()} == {10: 3, 5: 3, 3: 2}

    play(scenario)


def test_what_becomes_hard_or_unknown_takes_all_steps_with_the_next_answer() -> None:
    async def scenario(scene: Scene) -> None:
        for bend in (HARD, None, float("nan")):
            assert (await scene.steps(7, episode_id=f"bend {bend}"))[-1] == 3
            scene.bends.now = bend
            assert await scene.steps(3, episode_id=f"bend {bend}") == [3, 10, 10]
            scene.bends.now = EASY

    play(scenario)


def test_each_episode_and_each_session_goes_by_its_own_answers() -> None:
    async def scenario(scene: Scene) -> None:
        assert (await scene.steps(4))[-1] == 5
        assert await scene.steps(1, episode_id="other") == [10]
        assert await scene.steps(1, session_id="s") == [10]
        assert await scene.steps(1) == [5]

    play(scenario)


def test_without_an_episode_every_request_takes_all_steps() -> None:
    async def scenario(scene: Scene) -> None:
        assert set(await scene.steps(8, episode_id=None)) == {10}
        assert len(scene.adaptive) == 0

    play(scenario)


def test_an_episode_that_was_silent_for_long_begins_anew() -> None:
    async def scenario(scene: Scene) -> None:
        assert (await scene.steps(4))[-1] == 5
        await asyncio.sleep(KEPT_S)
        assert await scene.steps(1) == [10]

    play(scenario)


def test_another_policy_in_the_slot_begins_anew() -> None:
    async def scenario(scene: Scene) -> None:
        assert (await scene.steps(4))[-1] == 5
        first = scene.service.router.first
        other = first.loaded.policy.config.model_copy(update={"export_id": "another-export"})
        first.loaded = dataclasses.replace(first.loaded, policy=dataclasses.replace(first.loaded.policy, config=other))
        assert await scene.steps(1) == [10]

    play(scenario)


def test_while_a_variant_is_out_the_one_with_more_steps_answers() -> None:
    async def scenario(scene: Scene) -> None:
        assert (await scene.steps(7))[-1] == 3
        few, fewest = scene.variants
        fewest.vitals.warming_reason = "the canary's answer is off"
        assert await scene.steps(1) == [5]
        few.vitals.warming_reason = "its process is gone"
        assert await scene.steps(1) == [10]
        fewest.vitals.warming_reason = few.vitals.warming_reason = None
        assert await scene.steps(1) == [3]

    play(scenario)


def test_a_chunk_is_continued_by_a_variant_with_other_steps() -> None:
    async def scenario(scene: Scene) -> None:
        answers = [await scene.act() for _ in range(5)]
        assert [answer["denoising_steps"] for answer in answers] == [10, 10, 10, 5, 5]
        assert [answer["rtc_applied"] for answer in answers] == [False, True, True, True, True]

    play(scenario, rtc=True)


def test_a_resent_request_is_no_further_answer_of_the_episode() -> None:
    async def scenario(scene: Scene) -> None:
        again = [await scene.act(request_id="the same") for _ in range(2 * CALM_ANSWERS)]
        assert {answer["denoising_steps"] for answer in again} == {10}
        assert await scene.steps(3) == [10, 10, 5]

    play(scenario)


def test_answers_are_counted_by_their_steps() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.steps(8)
        shown = scene.service.metrics.exposition().decode()
        for steps, count in {10: 3, 5: 3, 3: 2}.items():
            assert f'reflex_answers_by_steps_total{{policy_slot="a",steps="{steps}"}} {count}.0' in shown

    play(scenario)


def test_the_change_is_told_where_that_is_wanted() -> None:
    async def telling(scene: Scene) -> None:
        assert (await scene.act())["velocity_change"] == [0.0, *[np.float32(EASY / 10).item()] * 9]
        scene.bends.now = None
        assert "velocity_change" not in await scene.act()

    async def silent(scene: Scene) -> None:
        assert "velocity_change" not in await scene.act()

    play(telling, tells=True)
    play(silent)


def test_of_two_answers_that_overlap_the_later_request_counts_whichever_comes_last() -> None:
    async def scenario(scene: Scene) -> None:
        full, variants = scene.service.router.first.loaded, scene.variants
        await scene.steps(4)
        early = Asked(_request("e"), None, scene.now() - 0.2, scene.now())
        scene.adaptive.note(early, full, variants, [0.0, HARD])
        assert await scene.steps(1) == [5]

    play(scenario)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 20)), max_size=40))
def test_no_more_than_so_many_episodes_are_remembered_and_none_past_its_time(
    answers: list[tuple[str, float]],
) -> None:
    async def scenario(scene: Scene) -> None:
        adaptive = AdaptiveSteps(scene.now, max_episodes=5)
        full, held = scene.service.router.first.loaded, dict[str, float]()
        for name, pause_s in answers:
            await asyncio.sleep(pause_s)
            adaptive.note(Asked(_request(name), None, scene.now(), scene.now()), full, scene.variants, [0.0, EASY])
            held[name] = scene.now()
            fresh = sum(scene.now() - at <= KEPT_S for at in held.values())
            assert len(adaptive) == min(5, fresh)

    play(scenario)


def _request(episode_id: str) -> ActRequest:
    return ActRequest("", (0.0,) * 6, None, None, episode_id, "r", resendable=False, seed=None)
