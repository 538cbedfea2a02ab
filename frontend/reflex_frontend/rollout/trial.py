"""What a policy must show before robots get it, and what a policy is owed before it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reflex.errors import SetupError
from reflex.policy_config import PolicyConfig
from reflex_frontend.policy.loaded_policy import LoadedPolicy

__all__ = ["Trial", "check_shared_models", "prove", "when_idle"]

WARM_UP_RUNS: Final = 3
CANARY_PATIENCE_S: Final = 60.0
"""Until a policy that Triton calls loaded must have answered its canary rightly."""
IDLE_PATIENCE_S: Final = 35.0
"""Longer than any call to Triton may take."""
POLL_S: Final = 0.05


@dataclass
class Trial:
    """The policies that are to go into a slot together: the one, and perhaps its variants with fewer steps."""

    loaded_policies: list[LoadedPolicy] = field(default_factory=list)

    @property
    def variants(self) -> tuple[LoadedPolicy, ...]:
        return tuple(self.loaded_policies[1:])


def check_shared_models(config: PolicyConfig, loaded: Mapping[str, PolicyConfig]) -> None:
    """`SetupError` if loading the policy would put another export's models under one that answers robots."""
    mine = set(config.models)
    for other in loaded.values():
        shared = mine & set(other.models)
        if shared and other.export_id != config.export_id:
            raise SetupError(
                f"policy {config.policy_id} has the model {min(shared)} in common with {other.policy_id}, which is of "
                "another export; export the new one under another --name"
            )


async def prove(candidate: LoadedPolicy) -> None:
    """Wait for its canary, and run it a few times more so that the first robot need not wait.

    Raises `TimeoutError`, `SetupError`, `ServiceError` or `TritonCallError` when it does not hold.
    """
    policy, vitals = candidate.policy, candidate.vitals
    try:
        async with asyncio.timeout(CANARY_PATIENCE_S):
            while vitals.warming_reason is not None:
                if vitals.failed_canary is not None:
                    # The probe would try for ever; whose first answer is wrong is not what was exported.
                    raise SetupError(
                        f"policy {policy.config.policy_id} is not served: {vitals.failed_canary}; the old one goes on"
                    )
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise TimeoutError(f"not ready within {CANARY_PATIENCE_S:.0f} s ({vitals.warming_reason})") from None
    if policy.canary is not None:
        for _ in range(WARM_UP_RUNS):
            await candidate.runner.check_canary(policy.canary.inputs)
    if vitals.is_out:
        raise SetupError(
            f"policy {policy.config.policy_id} is not served: {vitals.breaker.reason}; the old one goes on"
        )


async def when_idle(loaded: LoadedPolicy) -> None:
    """Until nobody waits for a place or gets ready for one, and Triton is done with every call; but not for ever."""
    deadline = loaded.vitals.now() + IDLE_PATIENCE_S
    while not loaded.admission.is_idle and loaded.vitals.now() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)
    await loaded.runner.drain()
