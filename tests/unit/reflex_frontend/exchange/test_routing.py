"""Who answers: the episode's own slot, the other one while that is out, and what the headers say about it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from reflex_frontend.act.act import ActService
from reflex_frontend.exchange.routing import Router
from support.fakes import FakeTriton, act_service, run_virtual

Scenario = Callable[[Router], Coroutine[Any, Any, None]]


def with_two(scenario: Scenario, *, split: int = 80) -> None:
    async def main(now: Callable[[], float]) -> None:
        service = act_service(FakeTriton(), now, second=FakeTriton(), split=split)
        await scenario(service.router)

    run_virtual(main)


def slots_of(router: Router, episodes: list[str]) -> list[str]:
    return [router.route(episode).slot.name for episode in episodes]


EPISODES = [f"episode-{number}" for number in range(200)]


def test_an_episode_keeps_its_slot_and_another_router_agrees() -> None:
    async def main(now: Callable[[], float]) -> None:
        one, other = (act_service(FakeTriton(), now, second=FakeTriton(), split=50).router for _ in range(2))
        assert slots_of(one, EPISODES) == slots_of(one, EPISODES) == slots_of(other, EPISODES)
        assert {"a", "b"} == set(slots_of(one, EPISODES))

    run_virtual(main)


def test_one_policy_gets_everything_and_says_nothing_of_slots() -> None:
    async def main(now: Callable[[], float]) -> None:
        router = act_service(FakeTriton(), now).router
        routing = router.route(None)
        assert (routing.slot.name, routing.is_degraded, router.headers(routing)) == ("a", False, {})

    run_virtual(main)


def test_a_request_without_an_episode_is_drawn_and_says_so() -> None:
    async def scenario(router: Router) -> None:
        router.draw = lambda: 0.81
        assert router.route(None).slot.name == "b"
        router.draw = lambda: 0.79
        routing = router.route(None)
        assert (routing.slot.name, routing.is_degraded) == ("a", True)
        assert router.headers(routing)["x-reflex-routing-key"] == ""

    with_two(scenario)


@pytest.mark.parametrize("phase", ["warming", "open"])
def test_while_a_slot_is_out_the_other_one_answers_its_episodes_and_says_so(phase: str) -> None:
    async def scenario(router: Router) -> None:
        own = [episode for episode in EPISODES if router.route(episode).slot.name == "b"]
        vitals = router.slots["b"].loaded.vitals
        if phase == "warming":
            vitals.warming_reason = "loading"
        else:
            vitals.breaker.open("lost")
        for episode in own:
            routing = router.route(episode)
            assert (routing.slot.name, routing.is_degraded) == ("a", True)
            assert router.headers(routing)["x-reflex-routing-degraded"] == "true"
        vitals.warming_reason = None
        vitals.breaker.close()
        assert {(routing.slot.name, routing.is_degraded) for routing in map(router.route, own)} == {("b", False)}

    with_two(scenario)


def test_with_both_out_an_episode_goes_to_its_own_slot_to_be_refused_there() -> None:
    async def scenario(router: Router) -> None:
        before = slots_of(router, EPISODES)
        for slot in router.slots.values():
            slot.loaded.vitals.breaker.open("lost")
        assert slots_of(router, EPISODES) == before

    with_two(scenario)


def test_a_new_split_moves_episodes_one_way_only() -> None:
    async def scenario(router: Router) -> None:
        before = slots_of(router, EPISODES)
        router.split = 90
        after = slots_of(router, EPISODES)
        assert {pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]} == {("b", "a")}

    with_two(scenario)


def test_the_headers_are_the_four_of_the_contract() -> None:
    async def scenario(router: Router) -> None:
        routing = router.route("grasp 7")
        assert router.headers(routing) == {
            "x-reflex-policy-slot": routing.slot.name,
            "x-reflex-model-version": routing.loaded.policy.config.model_version,
            "x-reflex-routing-key": "grasp 7",
            "x-reflex-routing-degraded": "false",
        }

    with_two(scenario)


@pytest.mark.parametrize(("episode", "key"), [("tasse-ä", "tasse-%C3%A4"), ("100%", "100%25"), ("コップ", None)])
def test_an_episode_that_no_header_can_hold_is_percent_encoded(episode: str, key: str | None) -> None:
    async def scenario(router: Router) -> None:
        header = router.headers(router.route(episode))["x-reflex-routing-key"]
        assert header.isascii()
        assert key is None or header == key

    with_two(scenario)


def test_a_server_is_full_only_when_every_slot_is() -> None:
    async def main(now: Callable[[], float]) -> None:
        service: ActService = act_service(FakeTriton(), now, second=FakeTriton(), split=50)
        admissions = [slot.loaded.admission for slot in service.router.slots.values()]
        for admission in admissions:
            assert not service.router.is_full
            admission.in_flight, admission.max_queue = admission.max_in_flight, 0
        assert service.router.is_full

    run_virtual(main)


def test_the_policies_that_answer_are_known_by_the_hashes_of_their_weights() -> None:
    async def scenario(router: Router) -> None:
        assert router.policy_hashes == {slot.loaded.policy.config.policy_hash for slot in router.slots.values()}
        assert "sha256:" + "ab" * 32 in router.policy_hashes

    with_two(scenario)


def test_a_full_server_refuses_in_the_name_of_its_first_policy() -> None:
    async def scenario(router: Router) -> None:
        refusal = router.refusal()
        assert (refusal.code, refusal.context["policy_id"]) == ("queue_full", "small")

    with_two(scenario)


def test_without_a_split_every_episode_is_the_first_policys() -> None:
    async def scenario(router: Router) -> None:
        undivided = Router(router.slots, draw=lambda: 0.9999)
        assert undivided.split == 100
        assert {"a"} == set(slots_of(undivided, EPISODES)) | {undivided.route(None).slot.name}

    with_two(scenario)
