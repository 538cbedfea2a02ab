"""An observation that is the same to the byte costs the model its denoising only, and never changes an answer."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reflex.errors import InferenceError, ServiceError
from reflex_frontend.errors import TritonCallError
from reflex_frontend.motion.adaptive import AdaptiveSteps
from reflex_frontend.motion.prefixes import PrefixCache
from support.fakes import act_service, loaded, run_virtual
from support.motion.staged import StagedTriton, staged_config, staged_policy
from unit.reflex_frontend.act.act_scene import Clock
from unit.reflex_frontend.motion.prefix_scene import (
    PIXELS,
    ROOM,
    Scene,
    answers,
    asked_in,
    other_pixel,
    play,
    png,
)


def test_the_same_observation_again_is_denoised_only() -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.hits({}) == [False]
        assert scene.ran() == {"preprocess": 1, "encoder": 1, "denoise": 1}
        assert await scene.hits({"seed": 8}, {"seed": 9}, {"seed": None}) == [True] * 3
        assert scene.ran() == {"denoise": 3}

    play(scenario)


CHANGES: dict[str, dict[str, Any]] = {
    "the first pixel": {"image_b64": other_pixel(0, 0, 0)},
    "the last pixel": {"image_b64": other_pixel()},
    "the same bytes as another shape": {"image_b64": png(PIXELS.reshape(8, 6, 3))},
    "another word": {"instruction": "pick up the red ?"},
    "a word less": {"instruction": "pick up the red"},
    "the state's last value": {"state": [0.1] * 5 + [0.1000001]},
    "the sign of nothing": {"state": [0.1] * 5 + [-0.0]},
    "another episode": {"episode_id": "f"},
    "no episode": {"episode_id": None},
    "another session": {"session_id": "other"},
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_else_the_prefix_depends_on_is_a_miss(what: str) -> None:
    base = {"state": [0.1] * 5 + [0.0]} if what == "the sign of nothing" else {}
    asked = [base, base, {**base, **CHANGES[what]}]
    with_cache, without = answers(asked, max_bytes=ROOM), answers(asked, max_bytes=None)
    assert [answer["cache_hit"] for answer in with_cache] == [False, True, False]
    assert [answer["actions"] for answer in with_cache] == [answer["actions"] for answer in without]
    assert all("cache_hit" not in answer for answer in without)


def test_another_state_is_no_miss_where_the_encoder_does_not_see_it() -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.hits({}, {"state": [0.2] * 6}) == [False, True]

    play(scenario, staged_config(state_enters=False))


DRAWN = st.fixed_dictionaries(
    {
        "episode_id": st.sampled_from(["e", "f", None]),
        "image_b64": st.sampled_from([png(PIXELS), other_pixel()]),
        "instruction": st.sampled_from(["pick up the red cup", "pick up the cup"]),
        "state": st.sampled_from([[0.1] * 6, [0.2] * 6]),
        "seed": st.integers(0, 2),
    }
)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(asked=st.lists(DRAWN, max_size=12), max_bytes=st.sampled_from([1, 3_000, 6_000, ROOM]))
def test_no_order_of_observations_changes_an_answer(asked: list[dict[str, Any]], max_bytes: int) -> None:
    with_cache, without = answers(asked, max_bytes=max_bytes), answers(asked, max_bytes=None)
    assert [answer["actions"] for answer in with_cache] == [answer["actions"] for answer in without]
    last: dict[Any, Any] = {}
    for each, answer in zip(asked, with_cache, strict=True):
        observed = {name: value for name, value in each.items() if name != "seed"}
        assert not answer["cache_hit"] or last.get(each["episode_id"]) == observed
        last[each["episode_id"]] = observed if each["episode_id"] else None


def test_an_observation_that_changes_all_the_time_runs_as_a_whole_and_nothing_of_it_is_fetched() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.hits({})
        scene.ran()
        moving = [{"state": [0.01 * step] * 6} for step in range(5)]
        assert await scene.hits(*moving) == [False] * 5
        assert scene.ran() == {"ensemble": 5}
        assert await scene.hits(moving[-1], moving[-1]) == [False, True], "it stands still: worth keeping"
        assert scene.ran() == {"preprocess": 1, "encoder": 1, "denoise": 2}
        assert await scene.hits({}, {}) == [False, True], "and so is what comes next"

    play(scenario)


def test_another_policy_never_begins_with_this_ones_prefix_and_a_variant_with_fewer_steps_does() -> None:
    async def scenario(scene: Scene) -> None:
        assert await scene.hits({}, {}) == [False, True]
        scene.swap(export_id="export-0002")
        assert await scene.hits({}, {}) == [False, True]
        scene.swap(denoising_steps=5, policy_id="small-5steps", components={"encoder": "small_encoder"})
        scene.triton.config = scene.service.router.first.loaded.policy.config
        assert await scene.hits({}) == [True]

    play(scenario)


def test_two_policies_keep_apart_what_they_know_of_their_episodes() -> None:
    first, second = staged_config(), staged_config(policy_id="other", export_id="export-0002")
    tritons = {"a": StagedTriton(config=first), "b": StagedTriton(config=second, salt=b"others")}

    async def main(now: Clock) -> None:
        service = act_service(
            tritons["a"], now, config=first, second=tritons["b"], second_config=second, split=50, guarded=False
        )
        for slot in service.router.slots.values():
            slot.loaded = dataclasses.replace(slot.loaded, policy=staged_policy(slot.loaded.policy))
        scene = Scene(dataclasses.replace(service, prefixes=PrefixCache(now, ROOM)), tritons["a"], now)
        episodes = [f"episode-{number}" for number in range(12)]
        given = [[await scene.act(episode_id=name) for name in episodes] for _ in range(2)]
        assert [[answer["cache_hit"] for answer in each] for each in given] == [[False] * 12, [True] * 12]
        assert [answer["actions"] for answer in given[0]] == [answer["actions"] for answer in given[1]]
        assert {answer["policy_slot"] for answer in given[0]} == {"a", "b"}
        service.router.split = 100  # every episode of b moves to a, which knows nothing of it
        moved = [await scene.act(episode_id=name) for name in episodes]
        assert [answer["cache_hit"] for answer in moved] == [answer["policy_slot"] == "a" for answer in given[0]]
        assert len({str(answer["actions"]) for answer in moved}) == 1

    run_virtual(main)


def test_a_request_that_is_sent_again_gets_the_same_answer_and_asks_nobody() -> None:
    async def scenario(scene: Scene) -> None:
        first = await scene.act(request_id="r1")
        scene.ran()
        assert await scene.act(request_id="r1") == first
        assert scene.ran() == {}
        assert first["cache_hit"] is False

    play(scenario)


def test_what_failed_is_not_remembered_and_a_lost_call_is_made_again_from_the_kept_prefix() -> None:
    async def scenario(scene: Scene) -> None:
        scene.triton.fails_next = TritonCallError("model", "no")
        with pytest.raises(InferenceError):
            await scene.act()
        assert (len(scene.prefixes), scene.prefixes.kept_bytes) == (0, 0)
        kept = await scene.act()
        scene.ran()
        scene.triton.fails_next = TritonCallError("lost", "gone")
        again = await scene.act()
        assert (again["actions"], again["cache_hit"], scene.ran()) == (kept["actions"], True, {"denoise": 2})

    play(scenario)


def test_adaptive_steps_and_a_kept_prefix_go_together() -> None:
    full = staged_config()
    fewer = staged_config(policy_id="small-5", denoising_steps=5, components={"encoder": "small_encoder"})
    tritons = [StagedTriton(config=full), StagedTriton(config=fewer)]

    async def main(now: Clock) -> None:
        service = act_service(tritons[0], now, config=full, guarded=False)
        variant = loaded(tritons[1], now, config=fewer, guarded=False)
        slot = service.router.slots["a"]
        slot.loaded = dataclasses.replace(slot.loaded, policy=staged_policy(slot.loaded.policy))
        slot.variants = (dataclasses.replace(variant, policy=staged_policy(variant.policy)),)
        prefixes, adaptive = PrefixCache(now, ROOM), AdaptiveSteps(now)
        scene = Scene(dataclasses.replace(service, prefixes=prefixes, adaptive=adaptive), tritons[0], now)
        await scene.act()
        for _ in range(4):  # the model reported that its way is straight
            adaptive.note(asked_in("e", now()), slot.loaded, slot.variants, (0.0,) * 10)
        answer = await scene.act()
        assert (answer["denoising_steps"], answer["cache_hit"]) == (5, True)
        assert tritons[1].ran == {"denoise": 1}

    run_virtual(main)


def test_an_error_has_no_cache_hit() -> None:
    async def scenario(scene: Scene) -> None:
        with pytest.raises(ServiceError):
            await scene.act(state=[0.1])
        assert len(scene.prefixes) == 0

    play(scenario)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(asked=st.lists(DRAWN, min_size=2, max_size=8), takes_s=st.lists(st.sampled_from([0.0, 0.01, 0.05]), max_size=24))
def test_requests_that_overlap_get_the_answers_that_they_get_alone(
    asked: list[dict[str, Any]], takes_s: list[float]
) -> None:
    together: list[dict[str, Any]] = []

    async def scenario(scene: Scene) -> None:
        scene.service.router.first.loaded.admission.resize(len(asked), 0)
        scene.triton.takes_s.extend(takes_s)
        together.extend(await asyncio.gather(*(scene.act(**each) for each in asked)))
        assert 0 <= scene.prefixes.kept_bytes <= ROOM

    play(scenario)
    assert [answer["actions"] for answer in together] == [
        answer["actions"] for answer in answers(asked, max_bytes=None)
    ]
