"""Two slots on a Triton on which every policy is a fake, and a third policy to put into one of them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex.policy_config import PolicyConfig
from reflex_frontend.errors import ModelControlError
from reflex_frontend.exchange.routing import Router, Slot
from reflex_frontend.policy.policy import Canary, ServedPolicy
from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.policy.workers import Workers
from reflex_frontend.rollout.rollout import Rollout
from reflex_frontend.triton.gateway import RawTensor
from support.fakes import FakeTriton, InlineExecutor, chunk, policy_config, run_virtual, served_policy

__all__ = ["CANARY", "PARTS", "PROBATION_S", "SERVED", "Backend", "Scene", "play", "policy"]

CANARY = Canary([RawTensor("state", "FP32", (1, 6), bytes(24))], chunk(), 1e-3)
PROBATION_S = 10.0


@dataclass
class Backend:
    """A Triton on which every policy is a `FakeTriton`; notes what is loaded and unloaded."""

    tritons: dict[str, FakeTriton] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    asked_for: list[frozenset[str]] = field(default_factory=list)
    """The models of each load."""
    refusal: str | None = None
    restarted: int = 0
    kept: list[str] = field(default_factory=list)
    """What a Triton that has to start anew would load."""
    waiting_for: str = "starting"
    may_reload: bool = True
    unload_s: float = 0.0

    @property
    def control(self) -> Backend:
        return self

    async def load(self, policy_id: str, models: Collection[str]) -> None:
        self.asked_for.append(frozenset(models))
        await asyncio.sleep(0.5)
        if self.refusal is not None:
            raise ModelControlError(self.refusal)
        self.events.append(f"load {policy_id}")

    async def unload(self, model: str) -> None:
        await asyncio.sleep(self.unload_s)
        self.events.append(f"unload {model}")

    def gateway(self, policy_id: str, _outputs: tuple[str, ...]) -> FakeTriton:
        return self.tritons.setdefault(policy_id, FakeTriton())

    async def why_unready(self, models: Collection[str]) -> str | None:
        return f"Triton cannot load {min(models)}" if self.refusal else None

    def keep_loaded(self, policies: Collection[PolicyConfig]) -> None:
        self.kept = [config.policy_id for config in policies]

    def restart_if_hung(self, _silent_s: float) -> bool:
        return False

    def restart_dead_model(self) -> None:
        self.restarted += 1


@dataclass
class Scene:
    router: Router
    loader: PolicyLoader
    rollout: Rollout
    backend: Backend
    switches: list[tuple[str, str]]
    now: Callable[[], float]

    def loaded(self, slot: str = "b") -> str:
        return self.router.slots["a" if slot == "a" else "b"].loaded.policy.config.policy_id

    async def replace_fails(self, told: str, policy: str = "new") -> None:
        with pytest.raises(SetupError, match=told):
            await self.rollout.replace("b", policy)


def policy(name: str, **changes: Any) -> ServedPolicy:
    return dataclasses.replace(served_policy(policy_config(policy_id=name, **changes)), canary=CANARY)


def play(
    monkeypatch: pytest.MonkeyPatch,
    scenario: Callable[[Scene], Coroutine[Any, Any, None]],
    backend: Backend | None = None,
    new: ServedPolicy | None = None,
    admits: Callable[[ServedPolicy], None] = lambda _policy: None,
) -> None:
    """Slots a and b serve `one` and `two`; the repository also holds `new`."""
    stored = {"new": new or policy("new")}
    monkeypatch.setattr(
        "reflex_frontend.rollout.rollout.load_policy", lambda _repository, name, _known=(): stored[name]
    )
    backend = backend or Backend()

    async def main(now: Callable[[], float]) -> None:
        async with asyncio.TaskGroup() as tasks:
            loader = PolicyLoader(backend, Workers(InlineExecutor(), now), tasks.create_task)
            slots = {name: Slot(name, loader.serve(policy(served))) for name, served in SERVED}
            router = Router(dict(slots), 50)
            switches: list[tuple[str, str]] = []
            rollout = Rollout(
                router, loader, Path("models"), lambda slot, served: switches.append((slot, served.config.policy_id)),
                PROBATION_S, admits,
            )  # fmt: skip
            await asyncio.sleep(1)
            await scenario(Scene(router, loader, rollout, backend, switches, now))
            await loader.stop()

    run_virtual(main)


SERVED: list[tuple[Any, str]] = [("a", "one"), ("b", "two")]
PARTS = ("", "_preprocess", "_encoder", "_denoise")
