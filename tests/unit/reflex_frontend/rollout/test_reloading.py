"""A policy whose models died or hang is loaded again, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from reflex_frontend.errors import TritonCallError
from reflex_frontend.policy.policy_loader import PolicyLoader
from reflex_frontend.policy.workers import Workers
from support.fakes import InlineExecutor, outputs, run_virtual
from unit.reflex_frontend.rollout.rollout_scene import CANARY, PARTS, Backend, Scene, play, policy


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
        assert scene.backend.asked_for == [frozenset(f"two{part}" for part in PARTS)]
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


def test_when_no_policy_is_left_that_answers_triton_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        scene.backend.refusal = "cannot load"
        for slot, name in ((scene.router.slots["a"], "one"), (scene.router.slots["b"], "two")):
            assert scene.backend.restarted == 0
            scene.backend.tritons[name].script.append(TritonCallError("dead", "stub process died"))
            with pytest.raises(TritonCallError):
                await slot.loaded.runner.check_canary(CANARY.inputs)
            await asyncio.sleep(1)
        assert scene.backend.restarted == 1

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
