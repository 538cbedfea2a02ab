"""From the bytes of a body to the bytes of an answer, with a Triton that does as it is told."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest
from PIL import Image

from reflex.errors import DeadlineExceededError, InferenceError, InvalidRequestError, ServiceError, UnavailableError
from reflex.policy_config import PolicyConfig
from reflex.wire import ObserversHealth
from reflex_frontend.act.act import ActService
from reflex_frontend.errors import TritonCallError
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.policy.loaded_policy import LoadedPolicy
from reflex_frontend.policy.slo_monitor import SloMonitor
from reflex_frontend.slo import Slo, SloMode
from reflex_frontend.triton.gateway import Outputs
from support.fakes import FakeTriton, act_service, chunk, loaded, outputs, policy_config, run_virtual

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

    @property
    def loaded(self) -> LoadedPolicy:
        return self.service.router.first.loaded

    async def act(self, deadline_ms: float = 1000, **changes: Any) -> dict[str, Any]:
        body = orjson.dumps({**GOOD, **changes})
        answer: dict[str, Any] = orjson.loads(await self.service.answer(body, Exchange.begin(self.now(), deadline_ms)))
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
        await service.router.first.loaded.runner.drain()
        admission = service.router.first.loaded.admission
        assert (admission.in_flight, admission.waiting) == (0, 0), "a place was lost"

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


@pytest.mark.parametrize(
    ("phase", "code"), [("warming", "warming_up"), ("open", "circuit_open"), ("draining", "draining")]
)
def test_each_phase_refuses_with_503_and_retry_after(phase: str, code: str) -> None:
    async def scenario(frontend: Frontend) -> None:
        vitals = frontend.loaded.vitals
        vitals.warming_reason = "starting" if phase == "warming" else None
        frontend.service.instance.is_draining = phase == "draining"
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
        assert frontend.loaded.admission.is_full
        error = await frontend.fails(UnavailableError)
        assert error.code == "queue_full"
        await asyncio.gather(*running)
        assert not frontend.loaded.admission.is_full

    serve(scenario, FakeTriton(after(0.1)))


def test_the_deadline_counts_from_the_requests_first_byte() -> None:
    async def scenario(frontend: Frontend) -> None:
        body = orjson.dumps(GOOD)
        with pytest.raises(DeadlineExceededError):
            await frontend.service.answer(body, Exchange.begin(frontend.now() - 0.5, 400))
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


def objective(frontend: Frontend, mode: SloMode, *, reduced: FakeTriton | None = None) -> SloMonitor:
    """An objective that is missed already."""
    monitor = SloMonitor(Slo(990, 0.1), frontend.now, min_samples=1, min_slow=1)
    monitor.record(0.5)
    slot = frontend.service.router.first
    slot.slo, slot.slo_mode = monitor, mode
    if reduced is not None:
        slot.reduced = loaded(reduced, frontend.now, config=policy_config(denoising_steps=4))
    return monitor


def test_a_missed_objective_refuses_before_the_model_runs_and_lets_a_few_find_out() -> None:
    async def scenario(frontend: Frontend) -> None:
        objective(frontend, "refuse")
        await asyncio.sleep(1.5)
        await frontend.act()
        for _ in range(10):
            error = await frontend.fails(UnavailableError)
            assert (error.code, error.status) == ("slo_violation", 503)
            assert error.retry_after_s
        assert len(frontend.triton.calls) == 1

    serve(scenario)


def test_a_missed_objective_runs_fewer_steps_and_says_so() -> None:
    reduced = FakeTriton()

    async def scenario(frontend: Frontend) -> None:
        objective(frontend, "degrade", reduced=reduced)
        assert (await frontend.act())["denoising_steps"] == 10
        await asyncio.sleep(1.5)
        assert (await frontend.act())["denoising_steps"] == 4
        await asyncio.sleep(60)
        assert (await frontend.act())["denoising_steps"] == 10
        assert (len(reduced.calls), len(frontend.triton.calls)) == (1, 2)

    serve(scenario)


def test_a_missed_objective_that_is_only_logged_changes_nothing() -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, "log")
        await asyncio.sleep(1.5)
        assert monitor.is_violated
        assert (await frontend.act())["denoising_steps"] == 10

    serve(scenario)


def test_a_deadline_that_passed_counts_as_slow() -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, "log")
        monitor.record(0.5)
        await asyncio.sleep(60)
        assert not monitor.is_violated
        await frontend.fails(DeadlineExceededError, 300)
        await asyncio.sleep(1.5)
        assert monitor.is_violated

    serve(scenario, FakeTriton(after(0.6)))


def test_a_robot_with_a_slow_network_does_not_spoil_the_objective_for_the_others() -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, "log").renewed()
        frontend.service.router.first.slo = monitor
        for _ in range(5):
            body = orjson.dumps(GOOD)
            await frontend.service.answer(body, Exchange.begin(frontend.now() - 0.6, 2000))
        await asyncio.sleep(1.5)
        assert not monitor.is_violated

    serve(scenario)


def test_a_deadline_shorter_than_the_objective_says_nothing_about_it() -> None:
    async def scenario(frontend: Frontend) -> None:
        monitor = objective(frontend, "log").renewed()
        frontend.service.router.first.slo = monitor
        for _ in range(5):
            await frontend.fails(DeadlineExceededError, 50)
            await asyncio.sleep(0.6)
        assert monitor.percentile_s is None

    serve(scenario, FakeTriton(after(0.5)))


def test_a_variant_that_is_out_is_not_asked_in_the_full_policys_place() -> None:
    reduced = FakeTriton()

    async def scenario(frontend: Frontend) -> None:
        objective(frontend, "degrade", reduced=reduced)
        await asyncio.sleep(1.5)
        variant = frontend.service.router.first.reduced
        assert variant is not None
        variant.vitals.warming_reason = "the canary's answer is off"
        assert (await frontend.act())["denoising_steps"] == 10
        assert not reduced.calls

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


def test_a_resent_request_is_answered_by_the_slot_that_answered_first_whatever_the_split_is_now() -> None:
    async def main(now: Clock) -> None:
        service = act_service(FakeTriton(), now, second=FakeTriton(), split=0)
        body = orjson.dumps({**GOOD, "episode_id": "e", "request_id": "r"})
        first, again = (Exchange.begin(now(), 1000) for _ in range(2))
        answer = await service.answer(body, first)
        service.router.split = 100
        assert await service.answer(body, again) == answer
        assert again.routing is not None
        assert service.router.headers(again.routing)["x-reflex-policy-slot"] == "b"

    run_virtual(main)
