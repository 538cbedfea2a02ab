from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pytest

from reflex.correction.head import CorrectionHead
from reflex.embodiments import load_embodiment
from reflex.errors import SetupError
from reflex.policy_config import PolicyConfig
from reflex_analysis.correction.recorded import read_recording
from reflex_analysis.correction.training import Training, train_head
from reflex_frontend.act.act import ActService
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.motion.correction import Corrector, require_correctable
from reflex_frontend.observing.recording.entry import ActEntry
from reflex_frontend.observing.recording.observer import Recording
from support.fakes import act_service, run_virtual, served_policy
from support.motion.drifting import (
    CONTROL_HZ,
    FollowingTriton,
    drifting_policy,
    following,
    recorded_drift,
    seen,
    where,
)
from support.motion.heads import head_for, record
from support.traces import header
from unit.reflex_frontend.act.act_scene import GOOD, Clock

AXES = load_embodiment("franka").action_names
HASH = "sha256:" + "ab" * 32
STARTS = [(angle, radius) for angle in (0.2, 1.9, 3.4, 5.1) for radius in (0.5, 0.9)]


@cache
def trained() -> CorrectionHead:
    with TemporaryDirectory() as folder:
        recorded = read_recording(recorded_drift(Path(folder) / "a_0.jsonl.gz"))
    return train_head(recorded, Training(reach_ms=400.0, epochs=30, hidden=(32, 32)))


def fitting(**changes: Any) -> CorrectionHead:
    return head_for(6, AXES, constant=0.5, **{"policy_hash": HASH, "training": record(7), **changes})


@dataclass
class Scene:
    service: ActService
    triton: FollowingTriton
    now: Clock

    async def act(self, **changes: Any) -> dict[str, Any]:
        body = orjson.dumps({**GOOD, "image_b64": None, **changes})
        answer: dict[str, Any] = orjson.loads(await self.service.answer(body, Exchange.begin(self.now(), 5_000)))
        return answer


def play(
    scenario: Callable[[Scene], Coroutine[Any, Any, None]],
    head: CorrectionHead,
    *,
    takes_s: float = 0.1,
    max_share: float = 0.1,
    config: PolicyConfig | None = None,
) -> None:
    triton = FollowingTriton()
    triton.takes_s = takes_s

    async def main(now: Clock) -> None:
        service = act_service(triton, now, config=config or drifting_policy())
        service = dataclasses.replace(service, corrector=Corrector(head, max_share))
        await scenario(Scene(service, triton, now))

    run_virtual(main)


@pytest.mark.slow
def test_at_100_ms_the_trained_head_removes_at_least_half_of_the_error_of_what_is_executed() -> None:
    errors: dict[str, list[float]] = {"stale": [], "corrected": []}

    async def scenario(scene: Scene) -> None:
        for angle, radius in STARTS:
            state = seen(where(angle, radius, 0.0))
            answer = await scene.act(state=list(state))
            assert answer["a2c2_applied"] is True
            assert 0 < answer["a2c2_correction_magnitude"] <= 0.1
            for step in range(2, 5):  # 100 ms at 20 Hz are over; then the robot has the next answer
                right = np.array(where(angle, radius, step / CONTROL_HZ))
                for name, chunk in (("stale", following(state)), ("corrected", np.array(answer["actions"]))):
                    errors[name].append(float(np.linalg.norm(chunk[step, :2] - right)))

    play(scenario, trained())

    assert np.mean(errors["corrected"]) < 0.5 * np.mean(errors["stale"]), errors


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (fitting(training=None), "untrained"),
        (head_for(6, AXES, constant=0.0, policy_hash=HASH, training=record(7)), "untrained"),
        (fitting(training=record(7, removed=-0.1)), "untrained"),
        (fitting(policy_hash="sha256:" + "cd" * 32), "other_policy"),
        (head_for(5, AXES, policy_hash=HASH, training=record(7)), "other_policy"),
        (head_for(6, AXES[:6], policy_hash=HASH, training=record(6)), "other_policy"),
        (head_for(6, AXES[::-1], policy_hash=HASH, training=record(7)), "other_policy"),
        (fitting(control_hz=50.0), "other_policy"),
    ],
)
def test_an_untrained_or_mismatched_head_is_kept_off_and_the_answer_says_why(head: CorrectionHead, reason: str) -> None:
    async def scenario(scene: Scene) -> None:
        answer = await scene.act()
        assert answer["a2c2_reason"] == reason
        assert (answer["a2c2_applied"], answer["a2c2_correction_magnitude"]) == (False, 0.0)
        np.testing.assert_array_equal(np.array(answer["actions"], np.float32), following(GOOD["state"]))
        assert (
            f'reflex_a2c2_total{{policy_slot="a",result="{reason}"}} 1.0' in scene.service.metrics.exposition().decode()
        )

    play(scenario, head)


def test_nothing_is_corrected_below_one_control_period_of_latency() -> None:
    async def scenario(scene: Scene) -> None:
        scene.triton.takes_s = 0.049
        assert (await scene.act())["a2c2_reason"] == "latency_low"
        scene.triton.takes_s = 0.05
        assert (await scene.act())["a2c2_applied"] is True
        assert (await scene.act(inference_delay_steps=0))["a2c2_reason"] == "latency_low"
        scene.triton.takes_s = 0.0
        assert (await scene.act(inference_delay_steps=1))["a2c2_applied"] is True

    play(scenario, fitting())


@pytest.mark.parametrize("max_share", [0.01, 0.05])
def test_no_axis_is_corrected_by_more_than_its_share_of_the_range_and_the_guard_holds_the_rest(
    max_share: float,
) -> None:
    embodiment = load_embodiment("franka")
    span = np.subtract(embodiment.action_high, embodiment.action_low)

    async def scenario(scene: Scene) -> None:
        answer = await scene.act()
        moved = np.array(answer["actions"]) - following(GOOD["state"])
        assert (np.abs(moved) <= span * max_share + 1e-5).all()
        assert answer["a2c2_correction_magnitude"] == pytest.approx(min(max_share, 1.0), abs=1e-5)
        assert (np.array(answer["actions"]) <= np.array(embodiment.action_high)).all()

    play(scenario, fitting(largest=(100.0,) * 7), max_share=max_share)


def test_a_corrected_answer_beyond_the_limits_is_held_by_the_guard() -> None:
    high = load_embodiment("franka").action_high

    async def scenario(scene: Scene) -> None:
        answer = await scene.act(state=[high[0] - 0.01, *(0.0,) * 5])
        assert answer["a2c2_applied"] is True
        assert answer["guard_clamped"] is True
        assert max(row[0] for row in answer["actions"]) <= high[0]

    play(scenario, fitting())


def test_a_head_that_fits_one_of_the_policies_may_be_served_and_one_that_fits_none_may_not() -> None:
    own, other = served_policy(drifting_policy()), served_policy(drifting_policy(policy_hash="sha256:" + "cd" * 32))

    require_correctable(fitting(), [other, own])
    with pytest.raises(SetupError, match="was trained on demo"):
        require_correctable(fitting(), [other])
    with pytest.raises(SetupError, match="50 Hz"):
        require_correctable(fitting(control_hz=50.0), [own])


def test_a_resent_request_gets_the_same_corrected_answer() -> None:
    async def scenario(scene: Scene) -> None:
        one = await scene.act(request_id="r", episode_id="e")
        await asyncio.sleep(1)
        assert await scene.act(request_id="r", episode_id="e") == one

    play(scenario, fitting())


@dataclass
class Kept:
    """In place of the recorder."""

    entries: list[ActEntry]

    def record(self, entry: ActEntry) -> int:
        self.entries.append(entry)
        return len(self.entries)


def test_a_recording_holds_the_chunk_before_correction_and_the_answer_after_it() -> None:
    kept = Kept([])

    async def scenario(scene: Scene) -> None:
        recorder: Any = kept
        scene.service = dataclasses.replace(scene.service, observers=(Recording(recorder, header()),))
        answer = await scene.act()
        (entry,) = kept.entries
        assert entry.a2c2_applied is True
        assert entry.actions_raw is not None
        assert entry.actions is not None
        np.testing.assert_array_equal(entry.actions_raw, following(GOOD["state"]))
        np.testing.assert_array_equal(entry.actions, np.array(answer["actions"], np.float32))
        scene.triton.takes_s = 0.0
        await scene.act()
        assert (kept.entries[1].a2c2_applied, kept.entries[1].actions) == (False, None)

    play(scenario, fitting(largest=(0.001,) * 7))
