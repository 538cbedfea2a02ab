"""Who gets a place, who waits, who is refused; and that no place is ever lost or given twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from reflex.errors import DeadlineExceededError, UnavailableError
from reflex_frontend.policy.admission import Admission
from support.fakes import run_virtual

Clock = Callable[[], float]


def admission(now: Clock, *, places: int = 1, queue: int = 2) -> Admission:
    return Admission("small", max_in_flight=places, max_queue=queue, now=now)


def test_free_places_are_taken_without_waiting() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now, places=3)
        for _ in range(3):
            await gate.enter(now() + 1)
        assert (gate.in_flight, gate.waiting) == (3, 0)
        assert not gate.is_full

    run_virtual(main)


def test_equal_deadlines_are_served_in_the_order_in_which_they_came() -> None:
    async def main(now: Clock) -> None:
        gate, order = admission(now, queue=5), []

        async def client(name: int) -> None:
            await gate.enter(now() + 10)
            order.append(name)
            await asyncio.sleep(0.01)
            gate.leave(0.01)

        await gate.enter(now() + 10)
        clients = [asyncio.create_task(client(name)) for name in range(5)]
        await asyncio.sleep(0)
        gate.leave(0.01)
        await asyncio.gather(*clients)
        assert order == [0, 1, 2, 3, 4]
        assert gate.in_flight == 0

    run_virtual(main)


def test_one_more_than_the_ceiling_is_refused_with_what_a_client_must_know() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now, queue=1)
        await gate.enter(now() + 9)
        waiter = asyncio.create_task(gate.enter(now() + 9))
        await asyncio.sleep(0)
        assert gate.is_full
        with pytest.raises(UnavailableError) as caught:
            await gate.enter(now() + 9)
        assert caught.value.code == "queue_full"
        assert caught.value.context == {"policy_id": "small", "max_queue": 1}
        assert caught.value.retry_after_s is not None
        assert caught.value.retry_after_s > 0
        gate.leave(None)
        await waiter

    run_virtual(main)


def test_without_a_queue_a_second_request_is_refused_at_once() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now, queue=0)
        await gate.enter(now() + 9)
        with pytest.raises(UnavailableError):
            await gate.enter(now() + 9)

    run_virtual(main)


def test_a_wait_that_will_outlast_the_deadline_is_refused_before_it_begins() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now, places=1, queue=100)
        gate.service_s = 0.2
        await gate.enter(now() + 9)
        before = now()
        with pytest.raises(UnavailableError) as caught:
            await gate.enter(now() + 0.39)  # one call before it and its own: 0.4 s
        assert now() == before
        assert caught.value.retry_after_s == pytest.approx(0.2)
        waiter = asyncio.create_task(gate.enter(now() + 0.41))
        await asyncio.sleep(0)
        assert gate.waiting == 1
        gate.leave(0.2)
        await waiter

    run_virtual(main)


def test_an_idle_instance_takes_a_request_whatever_it_remembers_of_slow_calls() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now)
        gate.service_s = 60.0
        await gate.enter(now() + 0.1)
        assert gate.in_flight == 1

    run_virtual(main)


def test_the_wait_ends_with_the_deadline_and_leaves_no_trace_in_the_queue() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now)
        await gate.enter(now() + 9)
        started = now()
        with pytest.raises(DeadlineExceededError):
            await gate.enter(now() + 0.3)
        assert now() - started == pytest.approx(0.3)
        assert (gate.in_flight, gate.waiting) == (1, 0)
        gate.leave(None)
        assert gate.in_flight == 0

    run_virtual(main)


def test_a_deadline_that_has_passed_is_504_and_not_this_instances_fault() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now)
        await gate.enter(now() + 9)
        with pytest.raises(DeadlineExceededError):
            await gate.enter(now() - 0.001)

    run_virtual(main)


def test_a_waiter_cancelled_in_the_instant_its_place_comes_passes_it_on() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now)
        await gate.enter(now() + 9)
        first, second = (asyncio.create_task(gate.enter(now() + 9)) for _ in range(2))
        await asyncio.sleep(0)
        gate.leave(0.1)  # the place is the first waiter's, which has not run yet
        first.cancel()
        await second
        assert first.cancelled()
        assert (gate.in_flight, gate.waiting) == (1, 0)

    run_virtual(main)


def test_the_running_mean_follows_the_service_time_and_ignores_calls_without_an_answer() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now, places=4)
        for _ in range(4):
            await gate.enter(now() + 9)
        gate.leave(0.1)
        assert gate.service_s == pytest.approx(0.1)
        gate.leave(None)
        assert gate.service_s == pytest.approx(0.1)
        gate.leave(1.1)
        assert gate.service_s == pytest.approx(0.2)

    run_virtual(main)


def test_a_prediction_is_the_calls_before_it_shared_by_the_places_and_its_own() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now, places=2, queue=3)
        gate.service_s = 0.25
        await gate.enter(now() + 9)
        assert gate.predicted_s() == 0.0
        await gate.enter(now() + 9)
        assert gate.predicted_s() == 0.375
        waiters = [asyncio.create_task(gate.enter(now() + 9)) for _ in range(3)]
        await asyncio.sleep(0)
        assert gate.predicted_s() == 0.75
        assert gate.refusal().retry_after_s == 0.625
        for _ in waiters:
            gate.leave(None)
        await asyncio.gather(*waiters)

    run_virtual(main)


def test_a_wait_that_is_predicted_to_end_at_the_deadline_is_waited() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now)
        gate.service_s = 0.25
        await gate.enter(now() + 9)
        waiter = asyncio.create_task(gate.enter(now() + 0.5))
        await asyncio.sleep(0)
        gate.leave(0.25)
        await waiter

    run_virtual(main)


def test_a_deadline_that_is_now_has_passed_and_nothing_is_worth_a_retry() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now)
        gate.service_s = 0.25
        await gate.enter(now() + 9)
        with pytest.raises(DeadlineExceededError):
            await gate.enter(now())

    run_virtual(main)


@pytest.mark.parametrize("seed", range(30))
def test_no_place_is_lost_or_given_twice_whoever_cancels_or_runs_late(seed: int) -> None:
    dice = random.Random(seed)
    places, queue = dice.randint(1, 3), dice.randint(0, 6)

    async def main(now: Clock) -> None:
        gate, inside = admission(now, places=places, queue=queue), 0

        async def client() -> None:
            nonlocal inside
            await asyncio.sleep(dice.choice((0, 0.01, 0.02)))
            await gate.enter(now() + dice.choice((0, 0.01, 0.02, 0.05)))
            inside += 1
            assert inside <= places
            assert gate.in_flight >= inside
            try:
                await asyncio.sleep(dice.choice((0, 0.01, 0.02)))
            finally:
                inside -= 1
                gate.leave(dice.choice((None, 0.01)))

        clients = [asyncio.create_task(client()) for _ in range(60)]
        for victim in dice.sample(clients, 25):
            await asyncio.sleep(dice.choice((0, 0, 0.01)))
            victim.cancel()
        outcomes = await asyncio.gather(*clients, return_exceptions=True)
        expected = (UnavailableError, DeadlineExceededError, asyncio.CancelledError, type(None))
        assert all(isinstance(outcome, expected) for outcome in outcomes)
        assert (gate.in_flight, gate.waiting, inside) == (0, 0, 0)

    run_virtual(main)


def test_more_places_go_to_who_waits_and_fewer_take_none_away() -> None:
    async def main(now: Clock) -> None:
        gate = admission(now, queue=5)
        entered: list[int] = []

        async def client(name: int) -> None:
            await gate.enter(now() + 10)
            entered.append(name)

        async with asyncio.TaskGroup() as tasks:
            for name in range(5):
                tasks.create_task(client(name))
            await asyncio.sleep(1)
            assert entered == [0]
            gate.resize(3, 1)
            await asyncio.sleep(1)
            assert (entered, gate.in_flight, gate.is_full) == ([0, 1, 2], 3, True)
            gate.resize(2, 2)
            gate.leave(None)
            await asyncio.sleep(1)
            assert (entered, gate.in_flight) == ([0, 1, 2], 2)
            gate.leave(None)
            gate.leave(None)
        assert (entered, gate.in_flight, gate.waiting) == ([0, 1, 2, 3, 4], 2, 0)

    run_virtual(main)
