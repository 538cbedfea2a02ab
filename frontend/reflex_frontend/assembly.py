"""Puts a loaded policy together with what answers for it: its place on Triton, its admission, its watch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from reflex.guard import ActionGuard
from reflex.policy_config import PolicyConfig
from reflex_frontend.admission import Admission
from reflex_frontend.backend import models_of
from reflex_frontend.breaker import Breaker
from reflex_frontend.gateway import Triton
from reflex_frontend.inference import ModelRunner
from reflex_frontend.model_control import ModelControl, ModelControlError
from reflex_frontend.observation import NoiseSource
from reflex_frontend.policy import ServedPolicy
from reflex_frontend.serving import Serving
from reflex_frontend.vitals import Vitals
from reflex_frontend.watch import Watch
from reflex_frontend.workers import Workers

__all__ = ["Assembly", "Backend"]

log = logging.getLogger("reflex.serve")


class Backend(Protocol):
    """The Triton that the policies run on."""

    @property
    def waiting_for(self) -> str: ...
    @property
    def control(self) -> ModelControl: ...
    def gateway(self, policy_id: str) -> Triton: ...
    def restart_if_hung(self, silent_s: float) -> bool: ...
    def restart_dead_model(self) -> None: ...


@dataclass
class Assembly:
    """Makes every `Serving` of one server, and runs a `Watch` for each while it is wanted."""

    backend: Backend
    workers: Workers
    start_task: Callable[..., asyncio.Task[None]]
    """Like `TaskGroup.create_task`: a watch that fails must end the server, not be forgotten."""
    max_queue: int | None = None
    guarded: bool = True
    noise: NoiseSource = field(default_factory=NoiseSource)
    loaded: dict[str, PolicyConfig] = field(default_factory=dict)
    """What should be on Triton now, by policy."""
    _vitals: dict[str, Vitals] = field(default_factory=dict)
    _watches: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _revivals: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def serve(self, policy: ServedPolicy) -> Serving:
        """A policy with vitals of its own, warming until its watch has run the canary."""
        vitals = Vitals(self.workers.now, Breaker(self.workers.now), warming_reason=self.backend.waiting_for)
        max_queue = policy.max_in_flight if self.max_queue is None else self.max_queue
        admission = Admission(policy.config.policy_id, policy.max_in_flight, max_queue, self.workers.now)
        serving = self._serving(policy, vitals, admission)
        self._watch(serving)
        return serving

    def serve_reduced(self, policy: ServedPolicy, of: Serving) -> Serving:
        """A variant of a policy that shares its places in flight and its health, since it shares its GPU."""
        return self._serving(policy, of.vitals, of.admission)

    def note_down(self, reason: str) -> None:
        """Triton is gone, and every policy with it."""
        for vitals in self._vitals.values():
            vitals.breaker.open(reason)
            if vitals.warming_reason is not None:
                vitals.warming_reason = reason

    def retire(self, serving: Serving) -> None:
        """End the watch of a policy that answers no more."""
        policy_id = serving.policy.config.policy_id
        self.loaded.pop(policy_id, None)
        self._vitals.pop(policy_id, None)
        task = self._watches.pop(policy_id, None)
        if task is not None:
            task.cancel()

    def models_only_of(self, config: PolicyConfig) -> list[str]:
        """The models that go with a retired policy, ensemble first: what no loaded policy shares."""
        kept = {model for other in self.loaded.values() for model in models_of(other)}
        return [model for model in models_of(config) if model not in kept]

    async def stop(self) -> None:
        """End every watch; what is being revived is left as it is."""
        tasks = [*self._watches.values(), *self._revivals.values()]
        self._watches.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _serving(self, policy: ServedPolicy, vitals: Vitals, admission: Admission) -> Serving:
        self.loaded[policy.config.policy_id] = policy.config
        self._vitals[policy.config.policy_id] = vitals
        triton = self.backend.gateway(policy.config.policy_id)
        runner = ModelRunner(
            policy, triton, admission, vitals, on_dead_model=lambda: self._revive(policy.config, vitals)
        )
        guard = ActionGuard(policy.embodiment) if self.guarded else None
        return Serving(policy, guard, admission, runner, vitals, triton, self.noise, self.workers)

    def _watch(self, serving: Serving) -> None:
        watch = Watch(
            serving.triton,
            serving.runner,
            serving.vitals,
            serving.policy.canary,
            on_hang=self.backend.restart_if_hung,
        )
        self._watches[serving.policy.config.policy_id] = self.start_task(watch.run())

    def _revive(self, config: PolicyConfig, vitals: Vitals) -> None:
        """A model's process is gone, and Triton starts no other by itself."""
        running = self._revivals.get(config.policy_id)
        if running is None or running.done():
            self._revivals[config.policy_id] = self.start_task(self._load_again(config, vitals))

    async def _load_again(self, config: PolicyConfig, vitals: Vitals) -> None:
        """Unload and load this policy alone, so that another slot is not disturbed; all of Triton if that fails."""
        log.error("a process of policy %s died; loading it again", config.policy_id)
        vitals.breaker.open("a model's process died; the policy is being loaded again")
        mine = set(models_of(config))
        try:
            for model in models_of(config):
                await self.backend.control.unload(model)
            for policy_id in [name for name, other in self.loaded.items() if mine & set(models_of(other))]:
                await self.backend.control.load(policy_id)
        except ModelControlError as failure:
            log.error("%s", failure)
            self.backend.restart_dead_model()
