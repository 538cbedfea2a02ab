"""What each request continues: the plan before it, from where its robot is, or nothing and an honest reason."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from reflex.errors import InferenceError, InvalidRequestError
from reflex_frontend.errors import TritonCallError
from reflex_frontend.motion.leftovers import KEPT_S
from reflex_frontend.motion.rtc import RealTimeChunking
from reflex_frontend.motion.weights import guidance_weights
from reflex_frontend.observing.recording.entry import ActEntry, entry_size_bytes
from reflex_frontend.observing.recording.observer import Recording
from reflex_frontend.observing.shadow import Shadow
from support.fakes import FakeTriton, loaded, outputs
from support.motion.continuing import action_space, continuing_config, guidance_of
from support.traces import header
from unit.reflex_frontend.motion.rtc_scene import CONTROL_HZ, TAKES_S, Scene, padded, play, session

HORIZON = 20
DELAY = math.ceil(TAKES_S * CONTROL_HZ)


def told(answer: dict[str, object]) -> tuple[object, ...]:
    return answer["rtc_applied"], answer["rtc_delay_steps"], answer.get("rtc_reason")


def test_the_first_chunk_of_an_episode_is_free_and_the_second_continues_it_from_where_the_clock_says() -> None:
    async def scenario(scene: Scene) -> None:
        first = await scene.act(episode_id="e")
        assert told(first) == (False, 0, "first_chunk")
        assert not any(np.any(part) for part in scene.given)

        await asyncio.sleep(7 / CONTROL_HZ - TAKES_S)
        second = await scene.act(episode_id="e")
        assert told(second) == (True, DELAY, None)
        previous, weights, bound = scene.given
        np.testing.assert_array_equal(previous, padded(scene.plans[0][7:], HORIZON))
        np.testing.assert_array_equal(weights, guidance_weights("linear", HORIZON, DELAY, HORIZON - 7))
        assert bound == 10

    play(scenario)


def test_the_options_are_those_of_the_model() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        await scene.act(episode_id="e", executed_steps=2, inference_delay_steps=3)
        _, weights, bound = scene.given
        np.testing.assert_array_equal(weights, guidance_weights("exp", HORIZON, 3, 6))
        assert bound == 4.5

    play(scenario, schedule="exp", execution_horizon=6, max_guidance=4.5)


def test_a_rest_that_is_shorter_than_the_execution_horizon_ends_the_weights() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        await scene.act(episode_id="e", executed_steps=HORIZON - 4, inference_delay_steps=2)
        previous, weights, _ = scene.given
        np.testing.assert_array_equal(previous, padded(scene.plans[0][-4:], HORIZON))
        np.testing.assert_array_equal(weights, guidance_weights("linear", HORIZON, 2, 4))

    play(scenario, execution_horizon=10)


def test_what_the_client_says_goes_before_the_clock() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        await asyncio.sleep(0.4)
        answer = await scene.act(episode_id="e", executed_steps=0, inference_delay_steps=5)
        assert told(answer) == (True, 5, None)
        np.testing.assert_array_equal(scene.given[0], padded(scene.plans[0], HORIZON))

    play(scenario)


def test_a_request_that_took_long_to_arrive_is_known_to_have() -> None:
    async def scenario(scene: Scene) -> None:
        for _ in range(5):
            await scene.act(episode_id="e", upload_s=1.0)
        assert (await scene.act(episode_id="e", executed_steps=0))["rtc_delay_steps"] == DELAY
        slow = await scene.act(episode_id="e", executed_steps=0, upload_s=0.2)
        assert slow["rtc_delay_steps"] == math.ceil((0.2 + TAKES_S) * CONTROL_HZ)
        assert (await scene.act(episode_id="e", executed_steps=0, upload_s=9.0))["rtc_delay_steps"] == HORIZON

    play(scenario)


def test_an_observation_from_before_the_last_answered_one_finds_its_chunk_whole() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        assert (await scene.act(episode_id="e", upload_s=0.5))["rtc_applied"]
        np.testing.assert_array_equal(scene.given[0], padded(scene.plans[0], HORIZON))

    play(scenario)


@pytest.mark.parametrize("said", [{}, {"executed_steps": HORIZON}])
def test_a_chunk_that_is_executed_whole_is_used_up(said: dict[str, Any]) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        await asyncio.sleep(0 if said else HORIZON / CONTROL_HZ)
        assert told(await scene.act(episode_id="e", **said)) == (False, DELAY, "used_up")
        assert not scene.given[1].any()

    play(scenario)


def test_after_so_long_a_chunk_has_expired_whatever_the_client_says() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        await asyncio.sleep(KEPT_S)
        assert (await scene.act(episode_id="e", executed_steps=1))["rtc_reason"] == "expired"
        assert (await scene.act(episode_id="e", executed_steps=1))["rtc_applied"]

    play(scenario)


def test_without_an_episode_nothing_is_kept() -> None:
    async def scenario(scene: Scene) -> None:
        for _ in range(2):
            assert (await scene.act())["rtc_reason"] == "no_episode"
        assert len(scene.rtc.left_overs) == 0

    play(scenario)


def test_actions_that_the_client_brings_need_nothing_that_is_kept_and_are_normalised() -> None:
    async def scenario(scene: Scene) -> None:
        rest = [[0.25, 1.0, 0.5, -0.25, 3.0, 2.0, 0.04], [0.5, -1.0, 1.5, 0.0, 7.0, 0.0, 0.01]]
        episodes: list[dict[str, Any]] = [{}, {"episode_id": "e"}]
        for asked in episodes:
            answer = await scene.act(prev_actions=rest, inference_delay_steps=1, **asked)
            assert told(answer) == (True, 1, None)
            expected = [[0.5, 1.0, 0.0, -1.0, 0.0, 2.0, -1.0], [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0]]
            np.testing.assert_array_equal(scene.given[0], padded(np.array(expected, np.float32), HORIZON))
            np.testing.assert_array_equal(scene.given[1], guidance_weights("linear", HORIZON, 1, 2))
        assert (await scene.act(prev_actions=[]))["rtc_reason"] == "used_up"

    play(scenario)


def test_actions_cannot_be_normalised_by_an_old_export_and_the_client_is_told_what_to_send() -> None:
    async def scenario(scene: Scene) -> None:
        with pytest.raises(InvalidRequestError, match="send executed_steps instead, or export") as caught:
            await scene.act(prev_actions=[[0.0] * 7])
        assert (caught.value.code, caught.value.context["field"]) == ("chunk_mismatch", "prev_actions")
        await scene.act(episode_id="e")
        assert (await scene.act(episode_id="e", executed_steps=1))["rtc_applied"]

    play(scenario, continuing_config(horizon=HORIZON, action_space=None))


def test_steps_that_are_none_of_this_policy_never_reach_the_model() -> None:
    async def scenario(scene: Scene) -> None:
        for fields in ({"executed_steps": 21}, {"prev_actions": [[0.0] * 6]}, {"inference_delay_steps": 21}):
            with pytest.raises(InvalidRequestError) as caught:
                await scene.act(episode_id="e", **fields)
            assert caught.value.code == "chunk_mismatch"
        assert not scene.triton.calls

    play(scenario)


def test_another_policy_does_not_continue_the_plan_of_the_one_before_and_a_variant_of_it_does() -> None:
    config = continuing_config(horizon=HORIZON)

    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        components = {"encoder": "small_encoder"}
        scene.swap(config.model_copy(update={"policy_id": "small-5steps", "components": components}))
        assert (await scene.act(episode_id="e", executed_steps=1))["rtc_applied"]
        scene.swap(config.model_copy(update={"export_id": "export-0002"}))
        assert (await scene.act(episode_id="e", executed_steps=1))["rtc_reason"] == "policy_changed"
        assert not scene.given[1].any()
        assert (await scene.act(episode_id="e", executed_steps=1))["rtc_applied"]
        np.testing.assert_array_equal(scene.given[0], padded(scene.plans[-2][1:], HORIZON))

    play(scenario, config)


def test_a_policy_that_was_trained_for_it_is_given_whole_actions_up_to_what_training_gave() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        for said, given in ((2, 2), (5, 5), (9, 5)):
            answer = await scene.act(episode_id="e", executed_steps=3, inference_delay_steps=said)
            assert told(answer) == (True, given, None)
            previous, weights, bound = scene.given
            np.testing.assert_array_equal(previous, padded(scene.plans[-2][3:], HORIZON))
            assert (weights.tolist(), bound) == ([1] * given + [0] * (HORIZON - given), 0)
        answer = await scene.act(episode_id="e", executed_steps=HORIZON - 1, inference_delay_steps=4)
        assert answer["rtc_delay_steps"] == scene.given[1].sum() == 1

    play(scenario, continuing_config(horizon=HORIZON, trained=True, rtc_training_max_delay=5))


def test_relative_actions_stay_where_they_are_when_the_state_moves() -> None:
    space = action_space(relative=(True,) * 6 + (False,))

    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e", state=[0.0] * 6)
        await scene.act(episode_id="e", state=[0.5] * 6, executed_steps=4)
        shift = np.array([-0.5 / scale for scale in space.scale[:6]] + [0.0])
        np.testing.assert_allclose(scene.given[0][: HORIZON - 4, :7], scene.plans[0][4:] + shift, atol=1e-6)

    # The state is one shorter than the actions here; the last axis is absolute.
    play(scenario, continuing_config(horizon=HORIZON, action_space=space))


def test_an_answer_that_never_came_leaves_the_plan_before_it_in_force() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        scene.triton.script.append(TritonCallError("model", "no"))
        with pytest.raises(InferenceError):
            await scene.act(episode_id="e")
        await scene.act(episode_id="e", executed_steps=5)
        np.testing.assert_array_equal(scene.given[0], padded(scene.plans[0][5:], HORIZON))

    play(scenario)


def test_a_plan_that_is_not_finite_is_not_continued_and_neither_is_the_one_before() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e")
        scene.triton.spoils_next = True
        await scene.act(episode_id="e")
        assert (await scene.act(episode_id="e", executed_steps=1))["rtc_reason"] == "first_chunk"
        assert (await scene.act(episode_id="e", executed_steps=1))["rtc_applied"]

    play(scenario)


def test_a_request_that_is_sent_again_gets_the_same_answer_and_advances_nothing() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(episode_id="e", request_id="1")
        await asyncio.sleep(0.1)
        second = await scene.act(episode_id="e", request_id="2")
        await asyncio.sleep(0.1)
        assert await scene.act(episode_id="e", request_id="2") == second
        assert len(scene.plans) == 2
        await scene.act(episode_id="e", executed_steps=0)
        np.testing.assert_array_equal(scene.given[0], padded(scene.plans[1], HORIZON))

    play(scenario)


def test_a_replica_that_was_restarted_costs_one_free_chunk() -> None:
    async def scenario(scene: Scene) -> None:
        for _ in range(2):
            await scene.act(episode_id="e")
        scene.service = dataclasses.replace(scene.service, rtc=RealTimeChunking(scene.now))
        answers = [await scene.act(episode_id="e", executed_steps=1) for _ in range(4)]
        assert [answer.get("rtc_reason") for answer in answers] == ["first_chunk", None, None, None]
        assert [answer["rtc_delay_steps"] for answer in answers] == [0, DELAY, DELAY, DELAY]

    play(scenario)


def test_another_session_has_no_part_in_an_episode() -> None:
    async def scenario(scene: Scene) -> None:
        await scene.act(session("s"), episode_id="e")
        assert (await scene.act(session("t"), episode_id="e"))["rtc_reason"] == "first_chunk"
        assert (await scene.act(session("s"), episode_id="e", executed_steps=1))["rtc_applied"]
        np.testing.assert_array_equal(scene.given[0], padded(scene.plans[0][1:], HORIZON))

    play(scenario)


def test_what_became_of_the_answers_is_counted() -> None:
    async def scenario(scene: Scene) -> None:
        for _ in range(3):
            await scene.act(episode_id="e", executed_steps=0)
        counts = scene.service.metrics.exposition().decode()
        assert 'reflex_rtc_total{policy_slot="a",result="applied"} 2.0' in counts
        assert 'reflex_rtc_total{policy_slot="a",result="first_chunk"} 1.0' in counts

    play(scenario)


def test_without_it_nothing_changes_whatever_a_request_says() -> None:
    async def scenario(scene: Scene) -> None:
        scene.service = dataclasses.replace(scene.service, rtc=None)
        for fields in ({"executed_steps": 1}, {"prev_actions": [[0.0] * 7]}, {"inference_delay_steps": 3}):
            answer = await scene.act(episode_id="e", **fields)
            assert not {name for name in answer if name.startswith("rtc")}
            assert not any(np.any(part) for part in scene.given)
        with pytest.raises(InvalidRequestError):
            await scene.act(episode_id="e", executed_steps=21)

    play(scenario)


class Recorder:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.entries: list[ActEntry] = []

    def record(self, entry: ActEntry) -> int:
        self.entries.append(entry)
        return len(self.entries)


def test_a_recording_has_what_was_continued_and_from_where_or_why_nothing_was() -> None:
    async def scenario(scene: Scene) -> None:
        recorder = Recorder()
        recording = Recording(recorder, header())  # type: ignore[arg-type]  # it only records
        scene.service = dataclasses.replace(scene.service, observers=(recording,))
        rest = [[0.25] * 7]
        await scene.act(episode_id="e")
        await scene.act(episode_id="e", executed_steps=3, inference_delay_steps=2)
        await scene.act(prev_actions=rest, inference_delay_steps=1)
        first, second, third = recorder.entries
        assert (first.rtc, first.rtc_reason, first.prev_actions) == (None, "first_chunk", None)
        assert second.rtc is not None
        np.testing.assert_array_equal(second.rtc.prev_chunk, scene.plans[0][3:])
        np.testing.assert_array_equal(second.rtc.weights, guidance_weights("linear", HORIZON, 2, HORIZON - 3))
        assert (second.rtc.max_guidance, second.rtc.executed_steps, second.rtc.delay_steps) == (10.0, 3, 2)
        assert third.rtc is not None
        assert (third.rtc.executed_steps, third.prev_actions) == (None, ((0.25,) * 7,))
        assert entry_size_bytes(second) > entry_size_bytes(dataclasses.replace(second, rtc=None))

    play(scenario)


def test_a_shadow_policy_continues_nothing() -> None:
    async def scenario(scene: Scene) -> None:
        looking = FakeTriton(outputs(np.zeros((HORIZON, 7), np.float32)))
        shadow = Shadow(loaded(looking, scene.now, config=scene.config), scene.service.instance, scene.service.metrics)
        scene.service = dataclasses.replace(scene.service, observers=(shadow,))
        running = asyncio.create_task(shadow.run())
        for _ in range(2):
            await scene.act(episode_id="e", executed_steps=1)
            await asyncio.sleep(0.5)
        running.cancel()
        assert scene.given[1].any()
        assert len(looking.calls) == 2
        assert not any(np.any(part) for call in looking.calls for part in guidance_of(call))
        await scene.act(episode_id="e", executed_steps=0)
        np.testing.assert_array_equal(scene.given[0], padded(scene.plans[1], HORIZON))

    play(scenario)
