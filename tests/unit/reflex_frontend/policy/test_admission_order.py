"""The earliest deadline is next, whoever comes, goes or runs late; and what cannot be kept is refused at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reflex.errors import DeadlineExceededError, ServiceError, UnavailableError
from reflex_frontend.policy.admission import MAX_PREPARING, Admission
from support.fakes import run_virtual

Clock = Callable[[], float]
MS = 1e-3


@dataclass(frozen=True)
class Robot:
    """One request, in milliseconds. Nothing of two robots falls into one instant but by a place that is handed on."""

    comes: int
    deadline: int
    service: int
    prepares: int
    gives_up: int | None


ROBOTS = st.lists(
    st.builds(
        Robot,
        comes=st.integers(0, 60),
        deadline=st.integers(1, 90),
        service=st.integers(1, 30),
        prepares=st.sampled_from((0, 0, 7)),
        gives_up=st.none() | st.integers(0, 60),
    ),
    max_size=25,
)


@dataclass
class Watch:
    """What is true of the queue at every instant."""

    gate: Admission
    now: Clock
    waiting: dict[int, float] = field(default_factory=dict)
    inside: set[int] = field(default_factory=set)
    fates: dict[int, str] = field(default_factory=dict)

    async def follow(self, number: int, robot: Robot) -> None:
        await asyncio.sleep((robot.comes + number / 1000) * MS)
        deadline = self.now() + robot.deadline * MS
        try:
            with self.gate.preparing(deadline):
                await asyncio.sleep(robot.prepares * MS)
            self.waiting[number] = deadline
            try:
                await self.gate.enter(deadline)
            finally:
                del self.waiting[number]
        except (UnavailableError, DeadlineExceededError) as refusal:
            self.fates[number] = refusal.code
            return
        self.entered(number, deadline)
        try:
            await asyncio.sleep(robot.service * MS)
        finally:
            self.inside.remove(number)
            self.gate.leave(robot.service * MS)
        self.fates[number] = "served"

    def entered(self, number: int, deadline: float) -> None:
        self.inside.add(number)
        assert len(self.inside) <= self.gate.max_in_flight
        assert self.gate.waiting <= self.gate.max_queue
        earlier = [other for other, at in self.waiting.items() if at < deadline]
        assert not earlier, f"{number} is served before {earlier}, whose deadlines are earlier"


@settings(max_examples=120, deadline=None)
@given(robots=ROBOTS, places=st.integers(1, 3), queue=st.integers(0, 6))
def test_no_later_deadline_is_served_before_an_earlier_one_and_nobody_is_lost(
    robots: Sequence[Robot], places: int, queue: int
) -> None:
    async def main(now: Clock) -> None:
        gate = Admission("small", places, queue, now)
        watch = Watch(gate, now)
        tasks = [asyncio.create_task(watch.follow(number, robot)) for number, robot in enumerate(robots)]
        for number, robot in enumerate(robots):
            if robot.gives_up is not None:
                at = (robot.comes + robot.gives_up + 0.5 + number / 1000) * MS
                asyncio.get_running_loop().call_later(at, tasks[number].cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [each for each in outcomes if each is not None and not isinstance(each, asyncio.CancelledError)]
        assert failures == []
        assert all(number in watch.fates for number, robot in enumerate(robots) if robot.gives_up is None)
        assert (gate.in_flight, gate.waiting, watch.waiting, watch.inside) == (0, 0, {}, set())
        with gate.preparing(now() + 1):
            await gate.enter(now() + 1)

    run_virtual(main)


async def waits(gate: Admission, deadline: float, order: list[str], name: str) -> None:
    try:
        await gate.enter(deadline)
        order.append(name)
    except ServiceError as refusal:
        order.append(f"{name}: {refusal.code}")


def test_the_earliest_deadline_is_next_whenever_it_came() -> None:
    async def main(now: Clock) -> None:
        gate, order = Admission("small", 1, 9, now), list[str]()
        await gate.enter(now() + 9)
        async with asyncio.TaskGroup() as tasks:
            for name, after_s in (("slow", 3.0), ("quick", 1.0), ("usual", 2.0)):
                tasks.create_task(waits(gate, now() + after_s, order, name))
            await asyncio.sleep(0)
            for _ in range(3):
                gate.leave(0.01)
                await asyncio.sleep(0.01)
        assert order == ["quick", "usual", "slow"]

    run_virtual(main)


def test_who_waits_is_refused_once_even_the_quickest_answer_would_be_late() -> None:
    async def main(now: Clock) -> None:
        gate, order = Admission("small", 1, 9, now), list[str]()
        await gate.enter(now() + 9)
        gate.leave(0.1)
        await gate.enter(now() + 9)
        gate.service_s = 0.01  # what was predicted when it came
        began = now()
        await waits(gate, now() + 0.25, order, "robot")
        assert order == ["robot: queue_full"]
        assert now() - began == pytest.approx(0.15)
        assert (gate.in_flight, gate.waiting) == (1, 0)

    run_virtual(main)


def test_a_place_passes_over_whom_it_comes_too_late_for() -> None:
    async def main(now: Clock) -> None:
        gate, order = Admission("small", 1, 9, now), list[str]()
        await gate.enter(now() + 9)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(waits(gate, now() + 0.3, order, "hopeless"))
            tasks.create_task(waits(gate, now() + 0.9, order, "next"))
            await asyncio.sleep(0.2)
            gate.leave(0.2)
            await asyncio.sleep(0)
        assert order == ["hopeless: queue_full", "next"]
        assert gate.in_flight == 1

    run_virtual(main)


def test_who_comes_is_counted_behind_those_alone_whose_deadlines_are_earlier() -> None:
    async def main(now: Clock) -> None:
        gate, order = Admission("small", 1, 9, now), list[str]()
        gate.service_s = 0.1
        await gate.enter(now() + 9)
        waiters = [asyncio.create_task(waits(gate, now() + 5, order, "patient")) for _ in range(4)]
        await asyncio.sleep(0)
        assert gate.predicted_s(now() + 1) == pytest.approx(0.2)
        assert gate.predicted_s(now() + 5) == pytest.approx(0.6)
        assert gate.predicted_s() == pytest.approx(0.6)
        for waiter in waiters:
            waiter.cancel()

    run_virtual(main)


def test_what_a_request_needs_before_it_enters_takes_no_place_from_others() -> None:
    async def main(now: Clock) -> None:
        gate = Admission("small", 1, 0, now)
        with gate.preparing(now() + 9):
            with gate.preparing(now() + 9):
                await gate.enter(now() + 9)
            with pytest.raises(UnavailableError), gate.preparing(now() + 9):
                raise AssertionError("somebody prepares in vain")

    run_virtual(main)


def test_no_more_prepare_than_there_is_memory_for_and_each_makes_room_again() -> None:
    async def main(now: Clock) -> None:
        gate = Admission("small", 1, 1, now)

        async def prepare() -> None:
            with gate.preparing(now() + 9):
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(MAX_PREPARING + 1):
                tasks.create_task(prepare())
            await asyncio.sleep(0)
            with pytest.raises(UnavailableError):
                await prepare()
        await prepare()

    run_virtual(main)


def test_who_waits_has_pictures_in_memory_as_who_prepares() -> None:
    async def main(now: Clock) -> None:
        gate = Admission("small", 1, 1, now)
        await gate.enter(now() + 9)
        waiter = asyncio.create_task(gate.enter(now() + 9))
        await asyncio.sleep(0)
        gate.resize(1, 2)
        with contextlib.ExitStack() as preparing:
            for _ in range(MAX_PREPARING + 1):
                preparing.enter_context(gate.preparing(now() + 9))
            with pytest.raises(UnavailableError), gate.preparing(now() + 9):
                raise AssertionError("one more than there is memory for")
        waiter.cancel()

    run_virtual(main)


def test_a_gate_is_idle_when_nobody_is_in_it_or_on_the_way() -> None:
    async def main(now: Clock) -> None:
        gate = Admission("small", 1, 1, now)
        assert gate.is_idle
        with gate.preparing(now() + 9):
            assert not gate.is_idle
            await gate.enter(now() + 9)
        assert not gate.is_idle
        waiter = asyncio.create_task(gate.enter(now() + 9))
        await asyncio.sleep(0)
        gate.leave(0.1)
        await waiter
        assert not gate.is_idle
        gate.leave(0.1)
        assert gate.is_idle

    run_virtual(main)


def test_nobody_is_let_in_before_one_who_waits_already_and_would_be_late_for_it() -> None:
    async def main(now: Clock) -> None:
        gate, order = Admission("small", 1, 9, now), list[str]()
        gate.service_s = 0.1
        await gate.enter(now() + 9)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(waits(gate, now() + 0.25, order, "first"))
            await asyncio.sleep(0)
            await waits(gate, now() + 0.24, order, "pusher")
            tasks.create_task(waits(gate, now() + 0.35, order, "behind"))
            await asyncio.sleep(0)
            for _ in range(2):
                gate.leave(0.1)
                await asyncio.sleep(0.01)
        assert order == ["pusher: queue_full", "first", "behind"]

    run_virtual(main)


def test_a_robot_that_names_no_deadline_is_answered_beside_twice_as_many_as_there_is_room_for() -> None:
    """What is urgent goes first, and takes nobody's turn who was let in: the default deadline is a deadline."""
    answered: list[float] = []

    async def main(now: Clock) -> None:
        gate = Admission("small", 1, 8, now)

        async def ask(deadline_s: float) -> bool:
            try:
                await gate.enter(now() + deadline_s)
            except ServiceError:
                return False
            await asyncio.sleep(0.02)
            gate.leave(0.02)
            return True

        async def robot(every_s: float, deadline_s: float, times: int, into: list[float]) -> None:
            for _ in range(times):
                into.append(await ask(deadline_s))
                await asyncio.sleep(every_s)

        urgent: list[float] = []
        async with asyncio.TaskGroup() as tasks:
            for _ in range(10):
                tasks.create_task(robot(0.08, 0.1, 100, urgent))
            tasks.create_task(robot(0.5, 1.0, 15, answered))
        assert sum(urgent) < 0.8 * len(urgent)

    run_virtual(main)
    assert sum(answered) >= 14
