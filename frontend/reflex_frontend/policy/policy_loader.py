"""Puts a loaded policy together with what answers for it: its place on Triton, its admission, its health probe."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from reflex.guard import ActionGuard
from reflex.policy_config import COMPONENT_ROLES, PolicyConfig
from reflex.serve_options import MAX_CLAMPED_PERCENT
from reflex_frontend.observation.observation import NoiseSource
from reflex_frontend.policy.admission import Admission
from reflex_frontend.policy.breaker import Breaker
from reflex_frontend.policy.health_probe import HealthProbe
from reflex_frontend.policy.inference import ModelRunner
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.policy.plausibility import NO_LIMIT_PERCENT
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.policy.revival import DEAD, HUNG, Revival
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.policy.workers import Workers
from reflex_frontend.triton.gateway import Triton
from reflex_frontend.triton.model_control import ModelControl

__all__ = ["Backend", "PolicyLoader"]

DENOISE: Final = COMPONENT_ROLES[-1]


class Backend(Protocol):
    """The Triton that the policies run on."""

    @property
    def waiting_for(self) -> str: ...
    @property
    def control(self) -> ModelControl: ...
    @property
    def may_reload(self) -> bool: ...
    def gateway(self, policy_id: str, outputs: tuple[str, ...]) -> Triton: ...
    def keep_loaded(self, policies: Collection[PolicyConfig]) -> None: ...
    def restart_if_hung(self, silent_s: float) -> bool: ...
    def restart_dead_model(self) -> None: ...


@dataclass
class _Loaded:
    """One `LoadedPolicy` and what goes on for it. `is_kept`: a Triton that starts anew loads it."""

    loaded: LoadedPolicy
    probe: asyncio.Task[None]
    is_kept: bool


@dataclass
class PolicyLoader:
    """Makes every `LoadedPolicy` of one server, and runs a `HealthProbe` for each while it is wanted."""

    backend: Backend
    workers: Workers
    start_task: Callable[..., asyncio.Task[None]]
    """Like `TaskGroup.create_task`: a probe that fails must end the server, not be forgotten."""
    max_queue: int | None = None
    guarded: bool = True
    max_clamped_percent: float = MAX_CLAMPED_PERCENT
    also: Collection[str] = ()
    """Outputs that are asked for besides the actions, of policies that have them."""
    noise: NoiseSource = field(default_factory=NoiseSource)
    _loaded: list[_Loaded] = field(default_factory=list)
    _revival: Revival = field(init=False)

    def __post_init__(self) -> None:
        self._revival = Revival(self.backend, self.start_task, lambda: self.loaded)

    @property
    def loaded(self) -> dict[str, PolicyConfig]:
        """What should be on Triton now, by policy."""
        return {_config(each.loaded).policy_id: _config(each.loaded) for each in self._loaded}

    def serve(self, policy: ServedPolicy, *, admission: Admission | None = None, is_kept: bool = True) -> LoadedPolicy:
        """A policy that is warming until its probe has run the canary.

        With `admission` it shares another one's places in flight, as it shares its GPU. `is_kept` is False for a policy
        on trial: a Triton that has to start anew starts without it.
        """
        vitals = self._vitals(policy)
        resize = None
        if admission is None:
            places, queue = self._room(policy, policy.instances)
            admission = Admission(policy.config.policy_id, places, queue, self.workers.now)
            resize = functools.partial(self._resize, admission, policy)
        loaded = self._loaded_policy(policy, vitals, admission)
        self._loaded.append(_Loaded(loaded, self.start_task(self._probe(loaded, resize).run()), is_kept))
        self._tell_backend()
        return loaded

    def keep(self, loaded: LoadedPolicy) -> None:
        """A policy on trial has passed."""
        for each in self._loaded:
            each.is_kept = each.is_kept or each.loaded is loaded
        self._tell_backend()

    def retire(self, loaded: LoadedPolicy) -> None:
        """End the probe of a policy that answers no more."""
        for each in [each for each in self._loaded if each.loaded is loaded]:
            each.probe.cancel()
            self._loaded.remove(each)
        self._tell_backend()

    def models_only_of(self, config: PolicyConfig) -> list[str]:
        """The models that come and go with a policy, ensemble first: what no loaded policy shares."""
        kept = {model for other in self.loaded.values() for model in other.models}
        return [model for model in config.models if model not in kept]

    def note_down(self, reason: str) -> None:
        """Triton is gone, and every policy with it."""
        for each in self._loaded:
            vitals = each.loaded.vitals
            vitals.breaker.open(reason)
            if vitals.warming_reason is not None:
                vitals.warming_reason = reason

    async def stop(self) -> None:
        """End every probe; what is being revived is left as it is."""
        tasks = [*(each.probe for each in self._loaded), *self._revival.running]
        self._loaded.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _vitals(self, policy: ServedPolicy) -> Vitals:
        # What an untrained policy says is implausible by design; it is there for trying the request path.
        percent = self.max_clamped_percent if policy.config.trained else NO_LIMIT_PERCENT
        now, waiting_for = self.workers.now, self.backend.waiting_for
        return Vitals(now, Breaker(now), warming_reason=waiting_for, max_clamped_percent=percent)

    def _resize(self, admission: Admission, policy: ServedPolicy, counted: Mapping[str, int]) -> None:
        """To the instances that Triton runs, if it has said so: a default differs with the backend and the machine."""
        # Of an ensemble that the embedded Triton runs as one model, that one's.
        instances = counted.get(policy.config.component(DENOISE), counted.get(policy.config.policy_id))
        if instances is not None:
            admission.resize(*self._room(policy, instances))

    def _room(self, policy: ServedPolicy, instances: int) -> tuple[int, int]:
        """How many requests may be in flight, and how many may wait."""
        places = policy.max_in_flight(instances)
        return places, places if self.max_queue is None else self.max_queue

    def _tell_backend(self) -> None:
        self.backend.keep_loaded([_config(each.loaded) for each in self._loaded if each.is_kept])

    def _loaded_policy(self, policy: ServedPolicy, vitals: Vitals, admission: Admission) -> LoadedPolicy:
        triton = self.backend.gateway(policy.config.policy_id, self._outputs(policy.config))

        def on_dead_model() -> None:
            self._revival.begin(policy.config, vitals, DEAD)

        runner = ModelRunner(policy, triton, admission, vitals, on_dead_model=on_dead_model)
        guard = ActionGuard(policy.embodiment) if self.guarded else None
        return LoadedPolicy(policy, guard, admission, runner, vitals, triton, self.noise, self.workers)

    def _outputs(self, config: PolicyConfig) -> tuple[str, ...]:
        given = {tensor.name for tensor in config.outputs}
        return ("actions", *(name for name in self.also if name in given))

    def _probe(self, loaded: LoadedPolicy, on_instances: Callable[[Mapping[str, int]], None] | None) -> HealthProbe:
        return HealthProbe(
            loaded.triton,
            loaded.runner,
            loaded.vitals,
            loaded.policy.canary,
            models=_config(loaded).models,
            on_instances=on_instances,
            on_hang=self.backend.restart_if_hung,
            on_hung_model=lambda: self._revival.begin(_config(loaded), loaded.vitals, HUNG),
            why_unready=lambda: self.backend.control.why_unready(_config(loaded).models),
        )


def _config(loaded: LoadedPolicy) -> PolicyConfig:
    return loaded.policy.config
