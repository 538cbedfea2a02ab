"""Loads a policy again whose model process died or hangs, so that another slot is not disturbed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from reflex.policy_config import PolicyConfig
from reflex_frontend.errors import ModelControlError
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.triton.model_control import ModelControl

__all__ = ["DEAD", "HUNG", "Revival"]

DEAD: Final = "a process of the model died"
HUNG: Final = "the model does not answer"

FIRST_RETRY_S: Final = 2.0
LAST_RETRY_S: Final = 60.0

log = logging.getLogger("reflex.serve")


class _Backend(Protocol):
    @property
    def control(self) -> ModelControl: ...
    @property
    def may_reload(self) -> bool: ...
    def restart_dead_model(self) -> None: ...


@dataclass
class Revival:
    """Triton neither replaces a model's dead process nor ends a hung one: loading the policy again does both."""

    backend: _Backend
    start_task: Callable[..., asyncio.Task[None]]
    loaded: Callable[[], Mapping[str, PolicyConfig]]
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def running(self) -> list[asyncio.Task[None]]:
        return [task for task in self._tasks.values() if not task.done()]

    def begin(self, config: PolicyConfig, vitals: Vitals, reason: str) -> None:
        """Take the policy out, and load it again; nothing more while that is going on, or once it is retired."""
        vitals.breaker.open(reason)
        policy_id = config.policy_id
        task = self._tasks.get(policy_id)
        if policy_id not in self.loaded() or (task is not None and not task.done()):
            return
        if not self.backend.may_reload:
            self.backend.restart_dead_model()
            return
        log.error("%s: %s; loading it again", policy_id, reason)
        self._tasks[policy_id] = self.start_task(self._load_again(config))

    async def _load_again(self, config: PolicyConfig) -> None:
        """Until it is loaded or retired. When no other policy answers, Triton is started again instead."""
        delay_s = FIRST_RETRY_S
        while config.policy_id in self.loaded():
            try:
                return await self._reload(config)
            except ModelControlError as failure:
                log.error("%s", failure)
            if self._nobody_answers():
                return self.backend.restart_dead_model()
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, LAST_RETRY_S)
        return None

    def _nobody_answers(self) -> bool:
        return all(name in self._tasks and not self._tasks[name].done() for name in self.loaded())

    async def _reload(self, config: PolicyConfig) -> None:
        """With it whatever shares a model with it."""
        mine = set(config.models)
        for model in config.models:
            await self.backend.control.unload(model)
        for policy_id, other in self.loaded().items():
            if mine & set(other.models):
                await self.backend.control.load(policy_id, mine & set(other.models) | {policy_id})
