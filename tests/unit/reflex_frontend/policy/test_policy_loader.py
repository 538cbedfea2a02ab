"""What a policy is given when it is put to work."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

import pytest

from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.policy.workers import Workers
from support.fakes import FakeTriton, InlineExecutor, policy_config, run_virtual, served_policy
from unit.reflex_frontend.rollout.rollout_scene import Backend


@pytest.mark.parametrize(("trained", "percent"), [(True, 30.0), (False, 100.0)])
def test_what_an_untrained_policy_says_is_never_implausible(trained: bool, percent: float) -> None:
    async def main(now: Callable[[], float]) -> None:
        async with asyncio.TaskGroup() as tasks:
            workers = Workers(InlineExecutor(), now)
            loader = PolicyLoader(Backend(), workers, tasks.create_task, max_clamped_percent=30.0)
            loaded = loader.serve(served_policy(policy_config(trained=trained)))
            assert loaded.vitals.plausibility.max_percent == percent
            await loader.stop()

    run_virtual(main)


def limits_when_warm(instances: int, max_queue: int | None = None) -> list[tuple[int, int]]:
    """In flight and waiting: before Triton has said how many instances it runs, and after."""
    limits: list[tuple[int, int]] = []

    async def main(now: Callable[[], float]) -> None:
        backend = Backend(tritons={"small": FakeTriton(instances=instances)})
        policy = dataclasses.replace(served_policy(), max_batch=8)
        async with asyncio.TaskGroup() as tasks:
            loader = PolicyLoader(backend, Workers(InlineExecutor(), now), tasks.create_task, max_queue)
            admission = loader.serve(policy).admission
            limits.append((admission.max_in_flight, admission.max_queue))
            loader.serve(dataclasses.replace(policy, max_batch=1), admission=admission)
            await asyncio.sleep(1)
            limits.append((admission.max_in_flight, admission.max_queue))
            await loader.stop()

    run_virtual(main)
    return limits


@pytest.mark.parametrize("instances", [1, 2, 3])
def test_two_full_batches_for_each_instance_that_triton_runs_may_be_in_flight_and_as_many_wait(instances: int) -> None:
    assert limits_when_warm(instances) == [(16, 16), (16 * instances, 16 * instances)]


def test_a_queue_of_a_given_length_keeps_it() -> None:
    assert limits_when_warm(2, max_queue=5) == [(16, 5), (32, 5)]
