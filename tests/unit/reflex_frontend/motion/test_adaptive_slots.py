"""Two policies that share the episodes, each with step counts of its own: a slot's episodes go by its own answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from reflex.wire import SlotName
from reflex_frontend.motion.adaptive import AdaptiveSteps
from reflex_frontend.motion.rtc import RealTimeChunking
from support.fakes import act_service, loaded, run_virtual
from support.motion.continuing import continuing_config
from support.two_policies import episodes_of
from unit.reflex_frontend.act.act_scene import Clock, Frontend
from unit.reflex_frontend.motion.adaptive_scene import EASY, HARD, BendingTriton, Bends

HORIZON = 20
STEPS: dict[SlotName, tuple[int, ...]] = {"a": (10, 5, 3), "b": (8, 4, 2)}
ORDERS: tuple[tuple[SlotName, SlotName], ...] = (("a", "b"), ("b", "a"))


@dataclass
class Slots:
    """`bends` is how hard the moments of each slot's policy are; both take episodes."""

    frontend: Frontend
    bends: dict[SlotName, Bends]
    tritons: dict[SlotName, dict[int, BendingTriton]]

    async def steps(self, episode_id: str, count: int = 1) -> list[int]:
        answers = [await self.frontend.act(episode_id=episode_id, executed_steps=1) for _ in range(count)]
        return [answer["denoising_steps"] for answer in answers]

    def switch(self, slot: SlotName, *, out: bool) -> None:
        """Its episodes go to the other slot, until it is back."""
        breaker = self.frontend.service.router.slots[slot].loaded.vitals.breaker
        if out:
            breaker.open("gone")
        else:
            breaker.close()


def two(scenario: Callable[[Slots], Coroutine[Any, Any, None]], *, rtc: bool = False) -> None:
    bends: dict[SlotName, Bends] = {"a": Bends(), "b": Bends()}
    tritons = {
        slot: {steps: BendingTriton(horizon=HORIZON, steps=steps, bends=bends[slot]) for steps in counts}
        for slot, counts in STEPS.items()
    }
    configs = {
        slot: [
            continuing_config(
                horizon=HORIZON, denoising_steps=steps, policy_id=f"{slot}{steps}", export_id=f"export-of-{slot}",
                components={"encoder": f"{slot}_encoder"},
            )
            for steps in counts
        ]
        for slot, counts in STEPS.items()
    }  # fmt: skip

    async def main(now: Clock) -> None:
        service = act_service(
            tritons["a"][10], now, guarded=False, config=configs["a"][0], second=tritons["b"][8],
            second_config=configs["b"][0], split=50,
        )  # fmt: skip
        for slot, counts in STEPS.items():
            service.router.slots[slot].variants = tuple(
                loaded(tritons[slot][steps], now, config=config, guarded=False)
                for steps, config in zip(counts[1:], configs[slot][1:], strict=True)
            )
        chunking = RealTimeChunking(now) if rtc else None
        service = dataclasses.replace(service, adaptive=AdaptiveSteps(now), rtc=chunking)
        await scenario(Slots(Frontend(service, tritons["a"][10], now), bends, tritons))

    run_virtual(main)


def test_the_episodes_of_each_slot_go_by_their_own_answers_and_step_counts() -> None:
    async def scenario(slots: Slots) -> None:
        slots.bends["b"].now = HARD
        in_a, in_b = next(episodes_of("a")), next(episodes_of("b"))
        taken = [(*await slots.steps(in_a), *await slots.steps(in_b)) for _ in range(8)]
        assert [of_a for of_a, _ in taken] == [10, 10, 10, 5, 5, 5, 3, 3]
        assert [of_b for _, of_b in taken] == [8] * 8
        slots.bends["a"].now, slots.bends["b"].now = HARD, EASY
        taken = [(*await slots.steps(in_a), *await slots.steps(in_b)) for _ in range(8)]
        assert [of_a for of_a, _ in taken] == [3, *[10] * 7]
        assert [of_b for _, of_b in taken] == [8, 8, 8, 4, 4, 4, 2, 2]

    two(scenario)


def test_an_episode_that_goes_to_the_other_slot_begins_with_all_of_its_steps_and_so_it_does_back_home() -> None:
    async def scenario(slots: Slots) -> None:
        for own, other in ORDERS:
            episode = next(episodes_of(own))
            full, fewer, _ = STEPS[own]
            all_of_other, fewer_of_other, _ = STEPS[other]
            assert await slots.steps(episode, 4) == [full, full, full, fewer]
            slots.switch(own, out=True)
            assert await slots.steps(episode, 4) == [all_of_other] * 3 + [fewer_of_other]
            slots.switch(own, out=False)
            assert await slots.steps(episode, 4) == [full, full, full, fewer]

    two(scenario)


def test_a_switch_of_one_slot_changes_nothing_for_the_episodes_of_the_other() -> None:
    async def scenario(slots: Slots) -> None:
        in_a, in_b = next(episodes_of("a")), next(episodes_of("b"))
        assert (await slots.steps(in_b, 4))[-1] == 4
        assert (await slots.steps(in_a, 4))[-1] == 5
        slots.bends["b"].now = HARD
        slots.switch("a", out=True)
        assert await slots.steps(in_a, 2) == [8, 8]  # a hard moment of b's policy, in an episode of a
        slots.bends["b"].now = EASY
        assert await slots.steps(in_b, 3) == [4, 4, 2]
        slots.switch("a", out=False)
        assert await slots.steps(in_a) == [10]

    two(scenario)


def test_with_chunks_that_go_on_neither_plan_nor_steps_of_the_other_slot_are_used() -> None:
    async def scenario(slots: Slots) -> None:
        async def act() -> tuple[object, ...]:
            answer = await slots.frontend.act(episode_id=episode, executed_steps=1)
            return answer["policy_slot"], answer["denoising_steps"], answer.get("rtc_reason")

        episode = next(episodes_of("a"))
        assert [await act() for _ in range(4)][-1] == ("a", 5, None)
        slots.switch("a", out=True)
        assert [await act() for _ in range(4)] == [("b", 8, "policy_changed"), *[("b", 8, None)] * 2, ("b", 4, None)]
        slots.switch("a", out=False)
        assert [await act(), await act()] == [("a", 10, "policy_changed"), ("a", 10, None)]
        calls = {slot: {steps: len(t.calls) for steps, t in each.items()} for slot, each in slots.tritons.items()}
        assert calls == {"a": {10: 5, 5: 1, 3: 0}, "b": {8: 3, 4: 1, 2: 0}}

    two(scenario, rtc=True)
