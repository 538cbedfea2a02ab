"""Another policy in a slot: nobody is answered by it before its canary, and a bad one leaves as it came."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
import pytest

from reflex_frontend.errors import TritonCallError
from reflex_frontend.motion.fitness import require_continuable
from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.slo import Slo
from support.fakes import FakeTriton, chunk, outputs
from unit.reflex_frontend.rollout.rollout_scene import PARTS, PROBATION_S, Backend, Scene, play, policy


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


def test_a_server_that_continues_chunks_takes_no_policy_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("new .* cannot continue a chunk")
        assert scene.loaded() == "two"
        assert not scene.backend.events

    play(monkeypatch, scenario, admits=require_continuable)


def test_a_policy_that_triton_cannot_load_is_refused_with_tritons_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("out of memory")
        assert scene.loaded() == "two"

    play(monkeypatch, scenario, Backend(refusal="Triton cannot load new: out of memory"))


def test_a_triton_that_does_not_answer_is_waited_for_once_and_not_for_each_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(scene: Scene) -> None:
        began_at = scene.now()
        await scene.replace_fails("died")
        assert scene.now() - began_at == pytest.approx(30.5, abs=0.2)

    play(monkeypatch, scenario, Backend(refusal="Triton cannot load new: its process died", unload_s=30.0))


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
