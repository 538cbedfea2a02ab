"""What a policy is given when it is put to work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.policy.workers import Workers
from support.fakes import InlineExecutor, policy_config, run_virtual, served_policy
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
