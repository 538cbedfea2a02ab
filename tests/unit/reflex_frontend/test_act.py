"""From the bytes of a body to the bytes of an answer, with a Triton that does as it is told."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pytest
from PIL import Image

from reflex.errors import DeadlineExceededError, InferenceError, InvalidRequestError, ServiceError, UnavailableError
from reflex.policy_config import PolicyConfig
from reflex_frontend.act import ActService
from reflex_frontend.gateway import Outputs, TritonCallError
from support.fakes import FakeTriton, act_service, chunk, outputs, policy_config, run_virtual

Clock = Callable[[], float]


def image(kind: str = "JPEG") -> str:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 30, 30)).save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()


GOOD: dict[str, Any] = {"instruction": "pick up the red cup", "state": [0.1] * 6, "image_b64": image()}


@dataclass
class Frontend:
    """The whole service over one fake."""

    service: ActService
    triton: FakeTriton
    now: Clock

    async def act(self, deadline_ms: float = 1000, **changes: Any) -> dict[str, Any]:
        body = orjson.dumps({**GOOD, **changes})
        answer: dict[str, Any] = orjson.loads(await self.service.answer(body, self.now(), deadline_ms))
        return answer

    async def fails(self, kind: type[ServiceError], deadline_ms: float = 1000, **changes: Any) -> ServiceError:
        with pytest.raises(kind) as caught:
            await self.act(deadline_ms, **changes)
        return caught.value


def serve(
    scenario: Callable[[Frontend], Coroutine[Any, Any, None]],
    triton: FakeTriton | None = None,
    *,
    guarded: bool = True,
    config: PolicyConfig | None = None,
) -> None:
    triton = triton or FakeTriton()

    async def main(now: Clock) -> None:
        service = act_service(triton, now, guarded=guarded, config=config)
        await scenario(Frontend(service, triton, now))
        await service.runner.drain()
        assert (service.admission.in_flight, service.admission.waiting) == (0, 0), "a place was lost"

    run_virtual(main)


def after(seconds: float, result: Outputs | Exception | None = None) -> Callable[[], Coroutine[Any, Any, Outputs]]:
    async def answer() -> Outputs:
        await asyncio.sleep(seconds)
        if isinstance(result, Exception):
            raise result
        return result or outputs()

    return answer


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
    wild[:, 0] = 99.0

    async def scenario(frontend: Frontend) -> None:
        answer = await frontend.act()
        assert answer["guard_clamped"]
        assert {violation["kind"] for violation in answer["guard_violations"]} == {"above_range"}
        assert max(step[0] for step in answer["actions"]) <= 2.8973
        assert b"reflex_guard_clamped_total{" in frontend.service.metrics.exposition()

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
        assert not frontend.service.vitals.breaker.is_open

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
        assert not frontend.service.vitals.breaker.is_open

    serve(scenario, FakeTriton(outputs(chunk(np.nan))))


@pytest.mark.parametrize(
    ("phase", "code"), [("warming", "warming_up"), ("open", "circuit_open"), ("draining", "draining")]
)
def test_each_phase_refuses_with_503_and_retry_after(phase: str, code: str) -> None:
    async def scenario(frontend: Frontend) -> None:
        vitals = frontend.service.vitals
        vitals.warming_reason = "starting" if phase == "warming" else None
        vitals.is_draining = phase == "draining"
        if phase == "open":
            vitals.breaker.open("lost")
        error = await frontend.fails(UnavailableError)
        assert error.code == code
        assert error.retry_after_s
        assert not frontend.triton.calls

    serve(scenario)


def test_beyond_places_and_queue_requests_are_refused() -> None:
    async def scenario(frontend: Frontend) -> None:
        running = [asyncio.create_task(frontend.act()) for _ in range(3)]
        await asyncio.sleep(0)
        assert frontend.service.admission.is_full
        error = await frontend.fails(UnavailableError)
        assert error.code == "queue_full"
        await asyncio.gather(*running)
        assert not frontend.service.admission.is_full

    serve(scenario, FakeTriton(after(0.1)))


def test_the_deadline_counts_from_the_requests_first_byte() -> None:
    async def scenario(frontend: Frontend) -> None:
        body = orjson.dumps(GOOD)
        with pytest.raises(DeadlineExceededError):
            await frontend.service.answer(body, frontend.now() - 0.5, 400)
        assert not frontend.triton.calls

    serve(scenario)


def test_a_waiting_request_ends_at_its_deadline() -> None:
    async def scenario(frontend: Frontend) -> None:
        running = [asyncio.create_task(frontend.act(5000)) for _ in range(2)]
        await asyncio.sleep(0)
        started = frontend.now()
        await frontend.fails(DeadlineExceededError, 300)
        assert frontend.now() - started == pytest.approx(0.3)
        await asyncio.gather(*running)

    serve(scenario, FakeTriton(after(2)))


def test_a_resent_request_gets_the_same_bytes_and_runs_the_model_once() -> None:
    async def scenario(frontend: Frontend) -> None:
        first = await frontend.act(request_id="r", episode_id="e")
        assert await frontend.act(request_id="r", episode_id="e") == first
        assert len(frontend.triton.calls) == 1

    serve(scenario)


def test_a_request_resent_while_the_first_runs_shares_its_answer() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        first, second = await asyncio.gather(frontend.act(**same), frontend.act(**same))
        assert first == second
        assert len(frontend.triton.calls) == 1

    serve(scenario, FakeTriton(after(0.1)))


@pytest.mark.parametrize(
    "other",
    [
        {"request_id": "r", "episode_id": "e", "state": [0.2] * 6},
        {"request_id": "r", "episode_id": "other"},
        {"request_id": "other", "episode_id": "e"},
        {"request_id": "r"},
    ],
    ids=["another observation", "another episode", "another request", "no episode"],
)
def test_an_old_answer_is_never_given_to_another_request(other: dict[str, Any]) -> None:
    async def scenario(frontend: Frontend) -> None:
        await frontend.act(request_id="r", episode_id="e")
        await frontend.act(**other)
        assert len(frontend.triton.calls) == 2

    serve(scenario)


def test_a_failed_request_that_is_resent_is_tried_again() -> None:
    async def scenario(frontend: Frontend) -> None:
        frontend.triton.script.append(TritonCallError("model", "no"))
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        await frontend.fails(InferenceError, **same)
        await asyncio.sleep(0)
        assert (await frontend.act(**same))["request_id"] == "r"

    serve(scenario)


def test_a_resent_request_keeps_its_own_deadline_not_that_of_the_first() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        first = asyncio.create_task(frontend.fails(DeadlineExceededError, 100, **same))
        await asyncio.sleep(0.05)
        answer = await frontend.act(2000, **same)
        assert answer["request_id"] == "r"
        await first

    serve(scenario, FakeTriton(after(0.5)))


def test_whoever_waits_for_a_request_that_was_abandoned_is_told_so() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        first = asyncio.create_task(frontend.act(**same))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(frontend.fails(InferenceError, **same))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).status == 500

    serve(scenario, FakeTriton(after(0.1)))


def test_cancelling_a_request_is_not_swallowed() -> None:
    async def scenario(frontend: Frontend) -> None:
        same: dict[str, Any] = {"request_id": "r", "episode_id": "e"}
        first = asyncio.create_task(frontend.act(**same))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(frontend.act(**same))
        await asyncio.sleep(0.01)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await first

    serve(scenario, FakeTriton(after(0.1)))


@pytest.mark.parametrize("when_s", [0.0, 0.02, 0.2])
def test_no_place_is_lost_when_clients_are_cancelled_anywhere(when_s: float) -> None:
    async def scenario(frontend: Frontend) -> None:
        clients = [asyncio.create_task(frontend.act(image_b64=image("PNG"))) for _ in range(3)]
        await asyncio.sleep(when_s)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    serve(scenario, FakeTriton(after(0.1)))
