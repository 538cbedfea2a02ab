"""What is unloaded after a replacement, when, and what is not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.fakes import FakeTriton, chunk, outputs
from unit.reflex_frontend.rollout.rollout_scene import CANARY, PROBATION_S, Backend, Scene, play, policy


def test_models_that_another_policy_shares_stay_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.replace_fails("off by")
        assert scene.backend.asked_for == [frozenset({"new", "new_preprocess", "new_denoise"})]
        assert "unload new_denoise" in scene.backend.events
        assert "unload one_encoder" not in scene.backend.events

    shared = policy("new", components={"encoder": "one_encoder"})
    play(monkeypatch, scenario, Backend({"new": FakeTriton(outputs(chunk(0.3)))}), shared)


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
