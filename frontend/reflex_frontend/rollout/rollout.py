"""Puts another policy into a slot while the server answers, and takes it out again when it does not hold.

load > canary > warm > switch > watch > drain the old one > unload it

The old policy answers until the new one has passed its canary, and comes back when the new one's breaker opens while it
is on probation: robots notice nothing of a bad export but a line in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from reflex.errors import ServiceError, SetupError
from reflex.model_repository import policy_folder
from reflex.policy_config import PolicyConfig
from reflex.wire import SlotName
from reflex_frontend.errors import ModelControlError, TritonCallError
from reflex_frontend.exchange.routing import Router, Slot
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.policy.policy import ServedPolicy, load_policy
from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.policy.policy_set import check_interchangeable
from reflex_frontend.rollout.trial import Trial, check_shared_models, prove, when_idle

__all__ = ["Rollout"]

READ_S: Final = 60.0
"""For a few files, perhaps on a network disk."""
PROBATION_S: Final = 10.0
POLL_S: Final = 0.05

T = TypeVar("T")

log = logging.getLogger("reflex.rollout")


@dataclass
class Rollout:
    """One replacement at a time. `probation_s` is how long the old policy stays loaded after the switch."""

    router: Router
    loader: PolicyLoader
    repository: Path
    on_switch: Callable[[SlotName, ServedPolicy], None] = lambda _slot, _policy: None
    """Told whenever a slot gets another policy, and when it gets the old one back."""
    probation_s: float = PROBATION_S
    admits: Callable[[ServedPolicy], None] = lambda _policy: None
    """Raises `SetupError` for a policy that lacks what this server promises its robots."""
    variants_of: Callable[[Path, PolicyConfig], Sequence[str]] = lambda _repository, _config: ()
    """The variants with fewer steps that go into the slot with a policy; `SetupError` where they lack."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def replace(self, name: SlotName, policy_id: str) -> ServedPolicy:
        """Serve `policy_id` in slot `name`. Raises `SetupError` when that must not be; the old policy then goes on."""
        if name not in self.router.slots:
            raise SetupError(f"there is no slot {name}; this server has {', '.join(self.router.slots)}")
        policy_folder(self.repository, policy_id)
        if self._lock.locked():
            raise SetupError("another policy is being loaded; try again when that is done")
        async with self._lock:
            slot = self.router.slots[name]
            wanted = await self._read(policy_id)
            self._check(slot, wanted[0])
            await self._switch(slot, await self._tried(wanted))
        return wanted[0]

    async def _read(self, policy_id: str) -> list[ServedPolicy]:
        """The policy, and its variants with fewer steps where this server needs them."""
        known = [each.loaded.policy.prompts for each in self.router.slots.values() if each.loaded.policy.prompts]

        def read(name: str) -> ServedPolicy:
            return load_policy(self.repository, name, known)

        policy = await self._in_worker(read, policy_id)
        names = await self._in_worker(self.variants_of, self.repository, policy.config)
        return [policy, *[await self._in_worker(read, name) for name in names]]

    async def _in_worker(self, function: Callable[..., T], *arguments: object) -> T:
        workers = self.loader.workers
        return await workers.run(workers.now() + READ_S, function, *arguments)

    def _check(self, slot: Slot, policy: ServedPolicy) -> None:
        served = [each for other in self.router.slots.values() for each in (other.loaded, *other.variants)]
        if policy.config.policy_id in {loaded.policy.config.policy_id for loaded in served}:
            raise SetupError(
                f"policy {policy.config.policy_id} is served already; export the new one under another --name"
            )
        if policy.canary is None:
            raise SetupError(
                f"policy {policy.config.policy_id} has no canary to be proven by; export it again with its check"
            )
        check_interchangeable(slot.loaded.policy, policy)
        self.admits(policy)
        check_shared_models(policy.config, self.loader.loaded)

    async def _tried(self, wanted: list[ServedPolicy]) -> Trial:
        """The policies loaded and proven; otherwise they are gone again."""
        trial = Trial()
        try:
            for policy in wanted:
                await self._load(policy)
                admission = trial.loaded_policies[0].admission if trial.loaded_policies else None
                trial.loaded_policies.append(self.loader.serve(policy, admission=admission, is_kept=False))
                await prove(trial.loaded_policies[-1])
        except BaseException as exc:
            await self._give_up(trial)
            if isinstance(exc, TritonCallError | ServiceError | TimeoutError):
                name = policy.config.policy_id
                raise SetupError(f"policy {name} is not served: {_reason(exc)}; the old one goes on") from exc
            raise
        return trial

    async def _load(self, policy: ServedPolicy) -> None:
        policy_id = policy.config.policy_id
        if policy_id in self.loader.loaded:  # it is the shadow policy, which is being promoted
            return
        log.info("loading policy %s", policy_id)
        try:
            await self.loader.backend.control.load(policy_id, self.loader.models_only_of(policy.config))
        except ModelControlError:
            await self._unload(policy)
            raise

    async def _switch(self, slot: Slot, trial: Trial) -> None:
        old = (slot.loaded, slot.variants)
        candidate = trial.loaded_policies[0]
        for loaded in trial.loaded_policies:
            self.loader.keep(loaded)
        self._put(slot, candidate, trial.variants)
        log.warning(
            "slot %s serves %s now", slot.name, candidate.policy.config.model_version,
            extra={"was": old[0].policy.config.model_version},
        )  # fmt: skip
        reason = await self._failed_on_probation(candidate)
        if reason is None:
            await self._retire(old[0], *old[1])
            return
        self._put(slot, *old)
        log.error("slot %s serves %s again", slot.name, old[0].policy.config.model_version, extra={"reason": reason})
        await self._retire(candidate, *trial.variants)
        raise SetupError(f"policy {candidate.policy.config.policy_id} failed ({reason}); the old one is back")

    def _put(self, slot: Slot, loaded: LoadedPolicy, variants: tuple[LoadedPolicy, ...]) -> None:
        slot.loaded, slot.variants = loaded, variants
        # What the other policy took says nothing about this one.
        slot.slo = None if slot.slo is None else slot.slo.renewed()
        self.on_switch(slot.name, loaded.policy)

    async def _failed_on_probation(self, candidate: LoadedPolicy) -> str | None:
        """Why the breaker of the new policy opened, ever since it is there; None when it did not."""
        breaker = candidate.vitals.breaker
        deadline = candidate.vitals.now() + self.probation_s
        while candidate.vitals.now() < deadline:
            if breaker.opened_total:
                return breaker.reason or "its circuit breaker opened"
            await asyncio.sleep(POLL_S)
        return None

    async def _retire(self, *gone: LoadedPolicy) -> None:
        """Unload policies once Triton is done with what they were asked, and nobody waits for them."""
        for loaded in gone:
            self.loader.retire(loaded)
        for loaded in gone:
            await when_idle(loaded)
            await self._unload(loaded.policy)
            await loaded.triton.close()

    async def _give_up(self, trial: Trial) -> None:
        for loaded in trial.loaded_policies:
            self.loader.retire(loaded)
            await self._unload(loaded.policy)
            await loaded.triton.close()

    async def _unload(self, policy: ServedPolicy) -> None:
        """What no other policy shares; nothing of a Triton that may serve others, too."""
        if not self.loader.backend.may_reload:
            log.warning("policy %s stays loaded: this Triton is not ours alone", policy.config.policy_id)
            return
        # All at once: a Triton that waits for a dead process answers none of them.
        await asyncio.gather(*map(self._unload_model, self.loader.models_only_of(policy.config)))

    async def _unload_model(self, model: str) -> None:
        try:
            await self.loader.backend.control.unload(model)
        except ModelControlError as failure:
            log.warning("%s", failure)


def _reason(problem: BaseException) -> str:
    if isinstance(problem, TritonCallError):
        return problem.detail
    return problem.message if isinstance(problem, ServiceError) else str(problem)
