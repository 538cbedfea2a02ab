"""Puts another policy into a slot while the server answers, and takes it out again when it does not hold.

load > warm > canary > switch > watch > drain the old one > unload it

The old policy answers until the new one has passed its canary, and comes back when the new one's breaker opens while it
is on probation: robots notice nothing of a bad export but a line in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex_frontend.assembly import Assembly
from reflex_frontend.lineup import check_interchangeable
from reflex_frontend.model_control import ModelControlError
from reflex_frontend.policy import ServedPolicy, load_policy
from reflex_frontend.routing import Router, Slot
from reflex_frontend.serving import Serving
from reflex_frontend.slots import SlotName

__all__ = ["Rollout"]

READ_S: Final = 60.0
"""For a few small files, perhaps on a network disk."""
WARM_UP_RUNS: Final = 3
CANARY_PATIENCE_S: Final = 60.0
"""Until a policy that Triton calls loaded must have answered its canary rightly."""
PROBATION_S: Final = 10.0
POLL_S: Final = 0.05

log = logging.getLogger("reflex.rollout")


@dataclass
class Rollout:
    """One replacement at a time. `probation_s` is how long the old policy stays loaded after the switch."""

    router: Router
    assembly: Assembly
    repository: Path
    on_switch: Callable[[SlotName, ServedPolicy], None] = lambda _slot, _policy: None
    """Told whenever a slot gets another policy, and when it gets the old one back."""
    probation_s: float = PROBATION_S
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def replace(self, name: SlotName, policy_id: str) -> ServedPolicy:
        """Serve `policy_id` in slot `name`. Raises `SetupError` when that must not be; the old policy then goes on."""
        if name not in self.router.slots:
            raise SetupError(f"there is no slot {name}; this server has {', '.join(self.router.slots)}")
        if Path(policy_id).name != policy_id or policy_id == ".." or not policy_id.isprintable():
            raise SetupError("a policy is named by its folder in the model repository, not by a path")
        if self._lock.locked():
            raise SetupError("another policy is being loaded; try again when that is done")
        async with self._lock:
            slot = self.router.slots[name]
            policy = await self._read(policy_id)
            self._check(slot, policy)
            await self._load(policy)
            candidate = await self._proven(policy)
            await self._switch(slot, candidate)
        return policy

    async def _read(self, policy_id: str) -> ServedPolicy:
        workers = self.assembly.workers
        return await workers.run(workers.now() + READ_S, load_policy, self.repository, policy_id)

    def _check(self, slot: Slot, policy: ServedPolicy) -> None:
        if policy.config.policy_id in self.assembly.loaded:
            raise SetupError(
                f"policy {policy.config.policy_id} is loaded already; export the new one under another --name"
            )
        check_interchangeable(slot.serving.policy, policy)

    async def _load(self, policy: ServedPolicy) -> None:
        policy_id = policy.config.policy_id
        log.info("loading policy %s", policy_id)
        try:
            await self.assembly.backend.control.load(policy_id)
        except ModelControlError:
            await self._unload(policy)
            raise

    async def _proven(self, policy: ServedPolicy) -> Serving:
        """The policy once it has answered its canary, and a few more times so that the first robot need not wait."""
        candidate = self.assembly.serve(policy)
        vitals = candidate.vitals
        try:
            async with asyncio.timeout(CANARY_PATIENCE_S):
                while vitals.warming_reason is not None:
                    _refuse_failed_canary(policy, vitals.warming_reason)
                    await asyncio.sleep(POLL_S)
            if policy.canary is not None:
                for _ in range(WARM_UP_RUNS):
                    await candidate.runner.check_canary(policy.canary.inputs)
        except (TimeoutError, SetupError) as exc:
            await self._give_up(candidate)
            if isinstance(exc, SetupError):
                raise
            raise SetupError(
                f"policy {policy.config.policy_id} was not ready within {CANARY_PATIENCE_S:.0f} s "
                f"({vitals.warming_reason}); the old one goes on"
            ) from None
        except BaseException:
            await self._give_up(candidate)
            raise
        return candidate

    async def _switch(self, slot: Slot, candidate: Serving) -> None:
        old, old_reduced = slot.serving, slot.reduced
        slot.serving, slot.reduced = candidate, None
        self.on_switch(slot.name, candidate.policy)
        log.warning(
            "slot %s serves %s now", slot.name, candidate.policy.config.model_version,
            extra={"was": old.policy.config.model_version},
        )  # fmt: skip
        reason = await self._failed_on_probation(candidate)
        if reason is None:
            await self._retire(old)
            return
        slot.serving, slot.reduced = old, old_reduced
        self.on_switch(slot.name, old.policy)
        log.error("slot %s serves %s again", slot.name, old.policy.config.model_version, extra={"reason": reason})
        await self._retire(candidate)
        raise SetupError(f"policy {candidate.policy.config.policy_id} failed ({reason}); the old one is back")

    async def _failed_on_probation(self, candidate: Serving) -> str | None:
        """Why the breaker of the new policy opened; None when it did not."""
        opened = candidate.vitals.breaker.opened_total
        deadline = candidate.vitals.now() + self.probation_s
        while candidate.vitals.now() < deadline:
            if candidate.vitals.breaker.opened_total > opened:
                return candidate.vitals.breaker.reason or "its circuit breaker opened"
            await asyncio.sleep(POLL_S)
        return None

    async def _retire(self, serving: Serving) -> None:
        """Unload a policy once Triton is done with what it was asked."""
        self.assembly.retire(serving)
        await serving.runner.drain()
        await self._unload(serving.policy)

    async def _give_up(self, candidate: Serving) -> None:
        self.assembly.retire(candidate)
        await self._unload(candidate.policy)

    async def _unload(self, policy: ServedPolicy) -> None:
        for model in self.assembly.models_only_of(policy.config):
            try:
                await self.assembly.backend.control.unload(model)
            except ModelControlError as failure:
                log.warning("%s", failure)


def _refuse_failed_canary(policy: ServedPolicy, warming_reason: str) -> None:
    """The watch would try for ever; a new policy whose answer is wrong once is not the one that was exported."""
    if "canary" in warming_reason and warming_reason != "running the canary":
        raise SetupError(f"policy {policy.config.policy_id} is not served: {warming_reason}; the old one goes on")
