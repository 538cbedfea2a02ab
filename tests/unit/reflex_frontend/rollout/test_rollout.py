"""Another policy in a slot: nobody is answered by it before its canary, and a bad one leaves as it came."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.errors import SetupError
from reflex.policy_config import PolicyConfig
from reflex_frontend.errors import ModelControlError, TritonCallError
from reflex_frontend.exchange.routing import Router, Slot
from reflex_frontend.policy.policy import Canary, ServedPolicy
from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.policy.workers import Workers
from reflex_frontend.rollout.rollout import Rollout
from reflex_frontend.slo import Slo
from reflex_frontend.triton.gateway import RawTensor
from support.fakes import FakeTriton, InlineExecutor, chunk, outputs, policy_config, run_virtual, served_policy

CANARY = Canary([RawTensor("state", "FP32", (1, 6), bytes(24))], chunk(), 1e-3)
PROBATION_S = 10.0


@dataclass
class Backend:
    """A Triton on which every policy is a `FakeTriton`; notes what is loaded and unloaded."""

    tritons: dict[str, FakeTriton] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    refusal: str | None = None
    restarted: int = 0
    kept: list[str] = field(default_factory=list)
    """What a Triton that has to start anew would load."""
    waiting_for: str = "starting"
    may_reload: bool = True

    @property
    def control(self) -> Backend:
        return self

    async def load(self, model: str) -> None:
        await asyncio.sleep(0.5)
        if self.refusal is not None:
            raise ModelControlError(self.refusal)
        self.events.append(f"load {model}")

    async def unload(self, model: str) -> None:
        self.events.append(f"unload {model}")

    def gateway(self, policy_id: str) -> FakeTriton:
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
                PROBATION_S,
            )  # fmt: skip
            await asyncio.sleep(1)
            await scenario(Scene(router, loader, rollout, backend, switches, now))
            await loader.stop()

    run_virtual(main)


SERVED: list[tuple[Any, str]] = [("a", "one"), ("b", "two")]


def test_the_new_policy_serves_after_its_canary_and_the_old_one_is_unloaded_after_the_probation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(scene: Scene) -> None:
        replacing = asyncio.create_task(scene.rollout.replace("b", "new"))
        while scene.loaded() == "two":
            await asyncio.sleep(0.05)
            assert not any(event.startswith("unload") for event in scene.backend.events)
        assert len(scene.backend.tritons["new"].calls) >= 4, "it was not warmed"
        assert not scene.router.slots["b"].loaded.vitals.is_out
        switched_at = scene.now()
        await replacing
        assert scene.now() - switched_at == pytest.approx(PROBATION_S, abs=0.2)
        assert scene.backend.events == ["load new"] + [f"unload two{part}" for part in PARTS]
        assert scene.switches == [("b", "new")]
        assert set(scene.loader.loaded) == {"one", "new"}

    play(monkeypatch, scenario)


PARTS = ("", "_preprocess", "_encoder", "_denoise")


def test_models_that_another_policy_shares_stay_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("off by")
        assert "unload new_denoise" in scene.backend.events
        assert "unload one_encoder" not in scene.backend.events

    shared = policy("new", components={"encoder": "one_encoder"})
    play(monkeypatch, scenario, Backend({"new": FakeTriton(outputs(chunk(0.3)))}), shared)


@pytest.mark.parametrize(
    ("triton", "told"),
    [
        (FakeTriton(outputs(chunk(0.3))), "off by"),
        (FakeTriton(outputs(chunk(np.nan))), "not finite"),
        (FakeTriton(outputs(chunk()[:3])), "shape"),
        (FakeTriton(TritonCallError("model", "it is broken")), "it is broken"),
        (FakeTriton(ready=False), "not ready within 60 s"),
    ],
    ids=["wrong answer", "NaN", "wrong shape", "error", "never ready"],
)
def test_a_bad_policy_never_serves_and_the_old_one_never_stops(
    monkeypatch: pytest.MonkeyPatch, triton: FakeTriton, told: str
) -> None:
    async def scenario(scene: Scene) -> None:
        replacing = asyncio.create_task(scene.replace_fails(told))
        while not replacing.done():
            await asyncio.sleep(0.02)
            assert scene.loaded() == "two"
            assert not scene.router.slots["b"].is_out
        await replacing
        assert scene.switches == []
        assert scene.backend.events[-4:] == [f"unload new{part}" for part in PARTS]
        assert set(scene.loader.loaded) == {"one", "two"}

    play(monkeypatch, scenario, Backend({"new": triton}))


def test_a_policy_that_triton_cannot_load_is_refused_with_tritons_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("out of memory")
        assert scene.loaded() == "two"

    play(monkeypatch, scenario, Backend(refusal="Triton cannot load new: out of memory"))


def test_a_policy_that_fails_on_probation_gives_way_to_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        replacing = asyncio.create_task(scene.replace_fails("the old one is back"))
        await asyncio.sleep(5)
        assert scene.loaded() == "new"
        scene.router.slots["b"].loaded.vitals.breaker.open("five failures")
        await asyncio.sleep(0.2)
        assert scene.loaded() == "two"
        await replacing
        assert scene.switches == [("b", "new"), ("b", "two")]
        assert set(scene.loader.loaded) == {"one", "two"}

    play(monkeypatch, scenario)


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_policy_that_is_loaded_already_cannot_be_loaded_over_itself(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("served already")
        assert not scene.backend.events

    play(monkeypatch, scenario, new=policy(name))


def test_a_policy_for_another_robot_is_refused_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("cameras is base in one and wrist in the other")
        assert not scene.backend.events

    play(monkeypatch, scenario, new=policy("new", cameras={"wrist": True}))


@pytest.mark.parametrize("name", ["../elsewhere/new", "a/b", "/etc"])
def test_a_path_is_no_policy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("not by a path", name)

    play(monkeypatch, scenario)


def test_one_replacement_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        first = asyncio.create_task(scene.rollout.replace("b", "new"))
        await asyncio.sleep(0.1)
        await scene.replace_fails("another policy is being loaded")
        await first

    play(monkeypatch, scenario)


def test_requests_in_flight_on_the_old_policy_end_before_it_is_unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow() -> Any:
        await asyncio.sleep(30)
        return outputs()

    async def scenario(scene: Scene) -> None:
        old = scene.router.slots["b"].loaded
        scene.backend.tritons["two"].script.append(slow)
        await old.admission.enter(scene.now() + 60)
        running = asyncio.create_task(old.runner.infer(CANARY.inputs, scene.now() + 60))
        await asyncio.sleep(0)
        replacing = asyncio.create_task(scene.rollout.replace("b", "new"))
        await asyncio.sleep(PROBATION_S + 5)
        assert "unload two" not in scene.backend.events
        await asyncio.gather(running, replacing)
        assert "unload two" in scene.backend.events

    play(monkeypatch, scenario)


def test_a_dead_model_process_is_loaded_again_without_touching_the_other_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        broken = scene.router.slots["b"].loaded
        scene.backend.tritons["two"].script.append(TritonCallError("dead", "stub process died"))
        with pytest.raises(TritonCallError):
            await broken.runner.check_canary(CANARY.inputs)
        await asyncio.sleep(0)
        assert broken.vitals.is_out
        assert not scene.router.slots["a"].is_out
        await asyncio.sleep(2)
        assert scene.backend.events == [f"unload two{part}" for part in PARTS] + ["load two"]
        assert not broken.vitals.is_out
        assert scene.backend.restarted == 0

    play(monkeypatch, scenario)


def test_when_that_fails_it_is_tried_again_and_the_other_slot_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        scene.backend.refusal = "cannot load"
        scene.backend.tritons["two"].script.append(TritonCallError("dead", "stub process died"))
        with pytest.raises(TritonCallError):
            await scene.router.slots["b"].loaded.runner.check_canary(CANARY.inputs)
        await asyncio.sleep(10)
        assert scene.backend.restarted == 0
        assert not scene.router.slots["a"].is_out
        scene.backend.refusal = None
        await asyncio.sleep(30)
        assert "load two" in scene.backend.events

    play(monkeypatch, scenario)


def test_a_policy_that_has_triton_for_itself_is_worth_a_restart_of_it() -> None:
    async def main(now: Callable[[], float]) -> None:
        backend = Backend(refusal="cannot load")
        async with asyncio.TaskGroup() as tasks:
            loader = PolicyLoader(backend, Workers(InlineExecutor(), now), tasks.create_task)
            loaded = loader.serve(policy("one"))
            await asyncio.sleep(1)
            backend.tritons["one"].script.append(TritonCallError("dead", "stub process died"))
            with pytest.raises(TritonCallError):
                await loaded.runner.check_canary(CANARY.inputs)
            await asyncio.sleep(1)
            await loader.stop()
        assert backend.restarted == 1

    run_virtual(main)


def test_a_triton_that_starts_anew_loads_what_serves_and_nothing_on_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        replacing = asyncio.create_task(scene.rollout.replace("b", "new"))
        await asyncio.sleep(0.4)
        assert scene.backend.kept == ["one", "two"]
        await asyncio.sleep(3)
        assert scene.backend.kept == ["one", "two", "new"]
        await replacing
        assert scene.backend.kept == ["one", "new"]

    play(monkeypatch, scenario)


def test_a_policy_without_a_canary_cannot_be_proven_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("has no canary")
        assert not scene.backend.events

    play(monkeypatch, scenario, new=dataclasses.replace(policy("new"), canary=None))


def test_models_shared_with_another_export_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("one_encoder in common with one")
        assert not scene.backend.events

    play(monkeypatch, scenario, new=policy("new", components={"encoder": "one_encoder"}, export_id="export-0002"))


def test_the_shadow_policy_can_be_promoted_without_being_loaded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        scene.loader.serve(policy("new"))
        await scene.rollout.replace("b", "new")
        assert scene.loaded() == "new"
        assert "load new" not in scene.backend.events
        assert not any(event.startswith("unload new") for event in scene.backend.events)

    play(monkeypatch, scenario)


def test_requests_that_wait_for_a_place_are_answered_before_their_policy_is_unloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(scene: Scene) -> None:
        old = scene.router.slots["b"].loaded
        for _ in range(old.admission.max_in_flight):
            await old.admission.enter(scene.now() + 60)
        waiting = asyncio.create_task(old.admission.enter(scene.now() + 60))
        replacing = asyncio.create_task(scene.rollout.replace("b", "new"))
        await asyncio.sleep(PROBATION_S + 5)
        assert "unload two" not in scene.backend.events
        for _ in range(old.admission.max_in_flight + 1):
            old.admission.leave(0.1)
        await asyncio.gather(waiting, replacing)
        assert "unload two" in scene.backend.events

    play(monkeypatch, scenario)


def test_nothing_of_a_triton_that_others_use_is_unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        scene.backend.may_reload = False
        await scene.rollout.replace("b", "new")
        assert scene.backend.events == ["load new"]

    play(monkeypatch, scenario)


def test_a_triton_that_is_somebody_elses_is_not_touched_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        scene.backend.may_reload = False
        scene.backend.tritons["two"].script.append(TritonCallError("dead", "stub process died"))
        with pytest.raises(TritonCallError):
            await scene.router.slots["b"].loaded.runner.check_canary(CANARY.inputs)
        await asyncio.sleep(2)
        assert scene.backend.events == []
        assert scene.backend.restarted == 1

    play(monkeypatch, scenario)


def test_a_model_that_hangs_on_a_live_triton_is_loaded_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> Any:
        await asyncio.sleep(3600)

    async def scenario(scene: Scene) -> None:
        hung = scene.router.slots["b"].loaded
        scene.backend.tritons["two"].default = never
        hung.vitals.breaker.open("five deadlines passed")
        await asyncio.sleep(60)
        assert scene.backend.events == [f"unload two{part}" for part in PARTS] + ["load two"]
        assert not scene.router.slots["a"].is_out
        scene.backend.tritons["two"].default = outputs()
        await asyncio.sleep(20)
        assert not hung.vitals.is_out

    play(monkeypatch, scenario)


def test_a_new_policy_is_not_judged_by_how_long_the_old_one_took(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        slot = scene.router.slots["b"]
        slot.slo = old = SloMonitor(Slo(990, 0.1), scene.now, min_samples=1, min_slow=1)
        old.record(0.5)
        await asyncio.sleep(2)
        assert old.is_violated
        await scene.rollout.replace("b", "new")
        assert slot.slo is not old
        assert not slot.slo.is_violated

    play(monkeypatch, scenario)
