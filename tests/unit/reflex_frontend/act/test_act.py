"""From the bytes of a body to the bytes of an answer, with a Triton that does as it is told."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from reflex.errors import InferenceError, InvalidRequestError, ServiceError
from reflex.wire import ObserversHealth
from reflex_frontend.exchange.exchange import Exchange
from support.fakes import FakeTriton, act_service, chunk, outputs, policy_config, run_virtual
from unit.reflex_frontend.act.act_scene import Clock, Frontend, after, image, serve


def test_an_answer_has_every_field_of_the_contract() -> None:
    async def scenario(frontend: Frontend) -> None:
        answer = await frontend.act(request_id="mine")
        assert np.allclose(answer["actions"], chunk())
        assert (answer["num_actions"], answer["action_dim"], answer["denoising_steps"]) == (4, 7, 10)
        assert (answer["inference_mode"], answer["request_id"]) == ("onnx_cpu", "mine")
        assert (answer["guard_clamped"], answer["guard_violations"]) == (False, [])
        assert answer["latency_ms"] == pytest.approx(30)
        assert answer["hz"] == pytest.approx(1000 / 30, rel=1e-3)
        assert set(answer["timing"]) == {"decode_ms", "queue_ms", "infer_ms", "guard_ms"}
        assert answer["timing"]["infer_ms"] == pytest.approx(30)

    serve(scenario, FakeTriton(after(0.03)))


def test_the_model_gets_the_image_the_state_the_tokens_and_the_seeds_noise() -> None:
    async def scenario(frontend: Frontend) -> None:
        await frontend.act(seed=7)
        await frontend.act(seed=7, state=[0.2] * 6)
        first, second = ({tensor.name: tensor for tensor in call} for call in frontend.triton.calls)
        assert first["image.base"].shape == (1, 6, 8, 3)
        assert np.frombuffer(first["state"].data, np.float32) == pytest.approx([0.1] * 6)
        assert np.frombuffer(first["tokens"].data, np.int64).tolist() == [1, 2, 3, 4, 5, 0]
        assert first["noise"] == second["noise"]
        assert first["state"] != second["state"]

    serve(scenario)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_small_jpegs_and_everything_else_reach_the_model_alike(kind: str) -> None:
    async def scenario(frontend: Frontend) -> None:
        await frontend.act(image_b64=image(kind))
        pixels = np.frombuffer(frontend.triton.calls[0][0].data, np.uint8).reshape(6, 8, 3)
        assert np.abs(pixels.astype(int) - (200, 30, 30)).max() < 6

    serve(scenario)


def test_actions_out_of_range_are_clamped_reported_and_counted() -> None:
    wild = chunk()
    wild[2:, 0] = 99.0

    async def scenario(frontend: Frontend) -> None:
        answer = await frontend.act()
        assert answer["guard_clamped"]
        assert {violation["kind"] for violation in answer["guard_violations"]} == {"above_range"}
        assert max(step[0] for step in answer["actions"]) <= 2.8973
        assert b"reflex_guard_clamped_total{" in frontend.service.metrics.exposition()
        assert b'reflex_queue_seconds_count{policy_slot="a"} 1.0' in frontend.service.metrics.exposition()

    serve(scenario, FakeTriton(outputs(wild)))


def test_without_a_guard_actions_leave_as_they_came() -> None:
    async def scenario(frontend: Frontend) -> None:
        answer = await frontend.act()
        assert answer["actions"] == [[99.0] * 7] * 4
        assert not answer["guard_clamped"]

    serve(scenario, FakeTriton(outputs(chunk(99.0))), guarded=False)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": [0.1] * 5}, "state_dim_mismatch"),
        ({"image_b64": None}, "image_required"),
        ({"image_b64": None, "images": {"rear": "abcd"}}, "unknown_camera"),
        ({"image_b64": "abcd"}, "invalid_image"),
        ({"image_b64": None, "image": [[[1, 2, 3.5]]]}, "wrong_type"),
        ({"instruction": None}, "missing_field"),
    ],
)
def test_a_clients_fault_is_4xx_never_reaches_the_model_and_carries_its_request_id(
    changes: dict[str, Any], code: str
) -> None:
    async def scenario(frontend: Frontend) -> None:
        for _ in range(6):
            error = await frontend.fails(InvalidRequestError, request_id="mine", **changes)
            assert (error.code, error.request_id) == (code, "mine")
        assert not frontend.triton.calls
        assert not frontend.loaded.vitals.breaker.is_open

    serve(scenario)


def test_a_missing_camera_of_several_is_named() -> None:
    async def scenario(frontend: Frontend) -> None:
        error = await frontend.fails(InvalidRequestError)
        assert (error.code, error.context["cameras"]) == ("missing_camera", ["wrist"])

    serve(scenario, config=policy_config(cameras={"base": True, "wrist": True}))


def test_states_that_no_robot_can_have_do_not_open_the_breaker_for_everybody() -> None:
    async def scenario(frontend: Frontend) -> None:
        for _ in range(6):
            with pytest.raises(ServiceError) as caught:
                await frontend.act(state=[3.4e38] * 6)
            assert caught.value.status < 500
        assert not frontend.loaded.vitals.breaker.is_open

    serve(scenario, FakeTriton(outputs(chunk(np.nan))))


@dataclass
class Noted:
    """An observer that remembers."""

    notes: list[tuple[int | None, str | None]] = field(default_factory=list)
    seeds: list[tuple[int | None, bool]] = field(default_factory=list)

    def note(self, exchange: Exchange, error: ServiceError | None) -> None:
        assert exchange.request is not None
        self.seeds.append((exchange.request.seed, exchange.seed_is_drawn))
        assert exchange.routing is not None
        self.notes.append((None if error is None else error.status, exchange.routing.slot.name))
        exchange.record_seq = 17

    def health(self) -> ObserversHealth:
        return {}

    def gauges(self) -> dict[str, float]:
        return {}


def looked_at(frontend: Frontend) -> Noted:
    noted = Noted()
    frontend.service = dataclasses.replace(frontend.service, observers=(noted,))
    return noted


def test_bystanders_see_answers_and_errors_once_each() -> None:
    async def scenario(frontend: Frontend) -> None:
        noted = looked_at(frontend)
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        assert (await frontend.act(**same))["record_seq"] == 17
        await frontend.act(**same)
        await frontend.fails(InvalidRequestError, state=[0.1])
        assert noted.notes == [(None, "a"), (422, "a")]

    serve(scenario)


def test_what_is_looked_at_has_a_seed_by_which_it_can_be_repeated() -> None:
    async def scenario(frontend: Frontend) -> None:
        noted = looked_at(frontend)
        await frontend.act()
        await frontend.act(seed=7)
        (drawn, was_drawn), given = noted.seeds
        assert drawn is not None
        assert was_drawn
        assert given == (7, False)
        await frontend.act(seed=drawn)
        first, _, repeated = ({tensor.name: tensor for tensor in call}["noise"] for call in frontend.triton.calls)
        assert first == repeated

    serve(scenario)


def test_two_policies_answer_their_own_episodes_and_say_which() -> None:
    first, second = FakeTriton(), FakeTriton()

    async def main(now: Clock) -> None:
        service = act_service(first, now, second=second, split=50)
        frontend = Frontend(service, first, now)
        slots = [(await frontend.act(episode_id=f"e{number}"))["policy_slot"] for number in range(40)]
        assert (slots.count("a"), slots.count("b")) == (len(first.calls), len(second.calls))
        assert 5 < slots.count("a") < 35
        exposition = service.metrics.exposition().decode()
        for slot in "ab":
            assert f'policy_slot="{slot}"' in exposition

    run_virtual(main)


def test_a_chunk_that_is_mostly_clamped_is_refused_and_counted_and_nothing_else() -> None:
    wild = chunk()
    wild[1:, 1] = 57.3

    async def scenario(frontend: Frontend) -> None:
        error = await frontend.fails(InferenceError)
        assert error.code == "implausible_action"
        assert "3 of 4 steps of panda_joint2" in error.message
        counts = frontend.service.metrics.exposition().decode()
        assert 'reflex_implausible_actions_total{policy_slot="a"} 1.0' in counts
        assert 'reflex_slot_guard_clamped_total{policy_slot="a"} 0.0' in counts
        assert not frontend.loaded.vitals.breaker.is_open

    serve(scenario, FakeTriton(outputs(wild)))
