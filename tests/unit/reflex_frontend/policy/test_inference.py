"""One model call: what counts against the instance, what does not, and when the place comes back."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

import grpc
import grpc.aio
import numpy as np
import pytest

from reflex.errors import DeadlineExceededError, InferenceError, ServiceError, UnavailableError
from reflex_frontend.errors import FailureKind, TritonCallError
from reflex_frontend.triton.gateway import Outputs, RawTensor, _failure
from reflex_frontend.triton.stages import StagedCall
from support.fakes import FakeTriton, chunk, outputs, served_policy
from support.motion.staged import stages_of
from unit.reflex_frontend.policy.inference_bench import BROKEN, INPUTS, LOST, Bench, after, on_bench


def test_an_answer_is_the_chunk_without_its_batch_axis_and_a_success() -> None:
    async def scenario(bench: Bench) -> None:
        assert np.array_equal(await bench.infer(), chunk())
        assert bench.vitals.last_success_at == bench.now()
        assert bench.admission.in_flight == 0

    on_bench(FakeTriton(), scenario)


def test_a_call_lost_once_on_a_live_triton_is_repeated_and_answered() -> None:
    async def scenario(bench: Bench) -> None:
        bench.triton.script.append(LOST)
        assert np.array_equal(await bench.infer(), chunk())
        assert len(bench.triton.calls) == 2
        assert await bench.failures_until_open() == 5

    on_bench(FakeTriton(), scenario)


def test_a_call_lost_twice_is_500_and_counts_once() -> None:
    async def scenario(bench: Bench) -> None:
        error = await bench.fails(InferenceError)
        assert (error.code, len(bench.triton.calls)) == ("inference_failed", 2)
        assert await bench.failures_until_open() == 4

    on_bench(FakeTriton(LOST), scenario)


def test_a_call_lost_with_a_dead_triton_opens_the_breaker_at_once_and_is_503() -> None:
    async def scenario(bench: Bench) -> None:
        error = await bench.fails(UnavailableError)
        assert error.code == "circuit_open"
        assert error.retry_after_s == pytest.approx(0.25)
        assert bench.vitals.breaker.is_open
        assert len(bench.triton.calls) == 1

    on_bench(FakeTriton(LOST, live=False), scenario)


def test_many_calls_lost_together_ask_once_whether_triton_is_alive_and_are_all_503() -> None:
    async def scenario(bench: Bench) -> None:
        errors = await asyncio.gather(*(bench.infer() for _ in range(4)), return_exceptions=True)
        assert [getattr(error, "code", error) for error in errors] == ["circuit_open"] * 4
        assert bench.triton.live_probes == 1
        assert bench.admission.in_flight == 0

    on_bench(FakeTriton(LOST, live=False), scenario)


def test_a_model_that_fails_is_500_without_its_reason_and_counts() -> None:
    async def scenario(bench: Bench) -> None:
        error = await bench.fails(InferenceError)
        assert error.code == "inference_failed"
        assert "memory" not in error.message
        assert len(bench.triton.calls) == 1  # a failure is not repeated: it may have taken all its time
        assert await bench.failures_until_open() == 4

    on_bench(FakeTriton(BROKEN), scenario)


def test_the_breakers_reason_is_one_line() -> None:
    async def scenario(bench: Bench) -> None:
        for _ in range(5):
            await bench.fails(InferenceError)
        assert bench.vitals.breaker.reason == "the model failed: out of memory"

    on_bench(FakeTriton(BROKEN), scenario)


def test_a_live_triton_that_is_busy_does_not_count() -> None:
    async def scenario(bench: Bench) -> None:
        for _ in range(6):
            with pytest.raises(ServiceError):
                await bench.infer()
        assert not bench.vitals.breaker.is_open

    on_bench(FakeTriton(TritonCallError("busy", "Exceeds maximum queue size")), scenario)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_refuses_the_chunk_and_makes_the_model_suspect(bad: float) -> None:
    actions = chunk()
    actions[-1, -1] = bad

    async def scenario(bench: Bench) -> None:
        assert (await bench.fails(InferenceError)).code == "non_finite_action"
        assert bench.vitals.suspicion is not None
        assert not bench.vitals.breaker.is_open, "the request itself may be to blame: the canary decides"
        assert bench.vitals.last_success_at < 0

    on_bench(FakeTriton(outputs(actions)), scenario)


@pytest.mark.parametrize("kind", ["dead", "unready"])
def test_a_model_that_cannot_answer_by_itself_again_opens_the_breaker_at_once(kind: FailureKind) -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(UnavailableError):
            await bench.infer()
        assert bench.vitals.breaker.is_open

    on_bench(FakeTriton(TritonCallError(kind, "Stub process 'x' is not healthy")), scenario)


def test_a_gpu_that_is_lost_is_said_to_the_client_and_in_health() -> None:
    detail = "ONNX Runtime: the GPU is lost (CUDA failure 700); `dmesg | grep Xid` says why"

    async def scenario(bench: Bench) -> None:
        error = await bench.fails(UnavailableError)
        assert "the GPU is lost" in error.message
        assert bench.vitals.breaker.reason == f"the model cannot answer: {detail}"

    on_bench(FakeTriton(TritonCallError("dead", detail)), scenario)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("Stub process 'x' is not healthy", "dead"), ("ONNX Runtime: the GPU is lost (CUDA failure 700)", "dead"),
     ("ONNX Runtime: the GPU's memory ran out", "model"), ("no", "model")],
)  # fmt: skip
def test_a_model_whose_gpu_is_lost_is_as_good_as_dead(text: str, kind: str) -> None:
    nothing = grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, nothing, nothing, details=text)
    assert _failure(error).kind == kind


def test_memory_of_the_gpu_that_ran_out_is_said_to_the_client_and_in_health() -> None:
    async def scenario(bench: Bench) -> None:
        for _ in range(5):
            error = await bench.fails(InferenceError)
            assert (error.code, "the GPU's memory ran out" in error.message) == ("inference_failed", True)
        assert "the GPU's memory ran out" in (bench.vitals.breaker.reason or "")

    on_bench(FakeTriton(TritonCallError("model", "ONNX Runtime: the GPU's memory ran out; see `nvidia-smi`")), scenario)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"other": chunk()[None]},
        {"actions": chunk()[None, :3]},
        {"actions": chunk()[None].swapaxes(1, 2)},
        {"actions": np.concatenate([chunk()[None]] * 2)},
        {"actions": chunk()[None].astype(np.float64)},
        {"actions": chunk().reshape(-1)},
    ],
    ids=["none", "other name", "short", "transposed", "two", "float64", "flat"],
)
def test_an_answer_of_another_shape_is_500_and_counts(answer: Outputs) -> None:
    async def scenario(bench: Bench) -> None:
        assert (await bench.fails(InferenceError)).code == "inference_failed"
        assert await bench.failures_until_open() == 4

    on_bench(FakeTriton(answer), scenario)


def test_the_deadline_ends_the_wait_to_the_millisecond() -> None:
    async def scenario(bench: Bench) -> None:
        started = bench.now()
        error = await bench.fails(DeadlineExceededError, 0.7)
        assert error.status == 504
        assert bench.now() - started == pytest.approx(0.7, abs=0.001)

    on_bench(FakeTriton(after(5, outputs())), scenario)


def test_the_place_comes_back_when_triton_is_done_and_not_when_the_client_gave_up() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.fails(DeadlineExceededError, 0.5)
        assert bench.admission.in_flight == 1
        await asyncio.sleep(1.4)
        assert bench.admission.in_flight == 1
        await asyncio.sleep(0.2)
        assert bench.admission.in_flight == 0
        assert bench.admission.service_s == pytest.approx(2.0)

    on_bench(FakeTriton(after(2, outputs())), scenario)


@pytest.mark.slow
@pytest.mark.parametrize("late", [outputs(), LOST, BROKEN, outputs(chunk(np.nan))], ids=["ok", "lost", "broken", "nan"])
def test_a_late_answer_is_dropped_whatever_it_is_and_its_place_comes_back_once(late: Outputs | Exception) -> None:
    forgotten: list[object] = []

    async def scenario(bench: Bench) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: forgotten.append(context))
        bench.triton.script.append(after(2, late))
        bench.triton.default = late
        await bench.fails(DeadlineExceededError, 0.1)
        await bench.runner.drain()
        await asyncio.sleep(1)
        gc.collect()  # a forgotten exception is reported when its task goes
        assert bench.admission.in_flight == 0

    on_bench(FakeTriton(), scenario)
    assert not forgotten


@pytest.mark.parametrize(
    ("detail", "reason"), [("x" * 300, "x" * 200), (" \n out of memory", "out of memory"), (" \n", "no reason given")]
)
def test_a_reason_is_the_first_200_characters_that_triton_gives(detail: str, reason: str) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.fails(UnavailableError)
        assert bench.vitals.breaker.reason == f"the model cannot answer: {reason}"

    on_bench(FakeTriton(TritonCallError("dead", detail)), scenario)


class Forgetful:
    """A memory that has nothing, and counts what it is told."""

    told = 0

    def find(self, observed: Sequence[RawTensor]) -> None: ...

    def is_worth_keeping(self) -> bool:
        return False

    def keep(self, observed: Sequence[RawTensor], prefix: object) -> None:
        assert not observed, "nothing of these inputs enters a prefix"
        assert prefix is None
        self.told += 1


@pytest.mark.parametrize(("answer", "told"), [(outputs(), 1), (outputs(chunk(np.nan)), 0), (BROKEN, 0)])
def test_an_observation_is_remembered_once_its_chunk_was_found_good(answer: Outputs | Exception, told: int) -> None:
    memory = Forgetful()

    async def scenario(bench: Bench) -> None:
        staged = StagedCall(stages_of(served_policy().config), memory)
        await bench.admission.enter(bench.now() + 1)
        asked = bench.runner.infer(INPUTS[:0], bench.now() + 1, (("traceparent", "t"),), staged)
        (given,) = await asyncio.gather(asked, return_exceptions=True)
        assert isinstance(given, ServiceError) == (told == 0)
        assert (memory.told, bench.triton.metadata) == (told, [(("traceparent", "t"),)])

    on_bench(FakeTriton(answer), scenario)
