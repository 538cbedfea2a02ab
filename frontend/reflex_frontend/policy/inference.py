"""Runs the model: one call, checked, retried when it was lost, and counted for the breaker.

A call is a task of its own that outlives the request which started it. Triton works on after a client gave up, so the
place in flight comes back, and the breaker learns the outcome, when Triton is done; the late answer itself is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.errors import DeadlineExceededError, InferenceError, ServiceError, UnavailableError
from reflex_frontend.errors import TritonCallError
from reflex_frontend.policy.admission import Admission
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.triton.gateway import LOST_GPU, Metadata, Outputs, RawTensor, Triton
from reflex_frontend.triton.stages import StagedCall

__all__ = ["Actions", "Chunk", "ModelRunner"]

FAILED: Final = "the model failed on this request; the same request may succeed"
UNANSWERED: Final = "Triton is not answering; it is being looked after"
GPU_MEMORY: Final = "the GPU's memory ran out"
"""What the backend says of such a failure."""
OUT_OF_MEMORY: Final = f"{GPU_MEMORY} on this request; the same request may succeed when less runs there"
SILENT: Final = "the model does not answer in time"
PATIENCE_S: Final = 0.4
"""A client's deadline that left the model less than this tells nothing about the model."""

Actions = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What a model gave, float32 [horizon, action_dim], finite."""

    actions: Actions
    """Robot units."""
    normalized: Actions | None = None
    """The same as the model planned it; None where nobody asked for it."""
    velocity_change: tuple[float, ...] | None = None
    """At each denoising step, for `reflex.serving.step_rule`; None where nobody asked for it."""


class ModelRunner:
    """Calls one policy's ensemble. Who calls `infer` must have entered `admission`; the place goes over to the call."""

    def __init__(
        self,
        policy: ServedPolicy,
        triton: Triton,
        admission: Admission,
        vitals: Vitals,
        *,
        on_dead_model: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_dead_model = on_dead_model
        self._shape = (policy.config.horizon, policy.config.action_dim)
        self._triton = triton
        self._admission = admission
        self._vitals = vitals
        self._now = vitals.now
        self._calls: set[asyncio.Task[Chunk]] = set()
        self._judged: set[asyncio.Task[Chunk]] = set()
        """Calls that have counted as a failure already; what becomes of them must not count again."""
        self._missed: set[asyncio.Task[Chunk]] = set()
        """Calls whose deadline has passed, that may still turn out to be the model's fault."""
        self._confirming: asyncio.Task[bool] | None = None

    async def infer(
        self,
        inputs: Sequence[RawTensor],
        deadline: float,
        metadata: Metadata = (),
        staged: StagedCall | None = None,
    ) -> Chunk:
        """The chunk; raises `ServiceError` at the latest at `deadline`. With `staged` it may begin with a kept prefix.

        Gives the place in flight back when Triton is done, which may be later.
        """
        started = self._now()
        call = asyncio.create_task(self._call(inputs, deadline, metadata, staged))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        call.add_done_callback(self._judged.discard)
        done, _ = await asyncio.wait((call,), timeout=max(0.0, deadline - started))
        if done:
            return call.result()
        call.add_done_callback(_drop_late_answer)
        self._missed.add(call)
        call.add_done_callback(self._missed.discard)
        if self._is_silent(started):
            self._count_missed()
        raise DeadlineExceededError("deadline_exceeded", "the deadline passed while the model was running")

    async def check_canary(self, inputs: Sequence[RawTensor]) -> Actions:
        """One inference outside admission, for the canary; raises `ServiceError` or `TritonCallError`."""
        self._vitals.record_attempt()
        return self._checked(await self._run(inputs)).actions

    async def drain(self) -> None:
        """Wait until Triton is done with every call, those of requests that are long answered too."""
        if self._calls:
            await asyncio.wait(self._calls)

    async def _call(
        self, inputs: Sequence[RawTensor], deadline: float, metadata: Metadata, staged: StagedCall | None
    ) -> Chunk:
        started = self._now()
        self._vitals.record_attempt()
        service_s: float | None = None
        outages = self._vitals.breaker.opened_total
        try:
            chunk = self._checked(await self._infer_twice_if_lost(inputs, deadline, metadata, staged))
            if self._vitals.breaker.opened_total == outages:  # how long an outage took predicts no later call
                service_s = self._now() - started
        except TritonCallError as failure:
            raise self._classified(failure) from None
        except InferenceError as exc:
            if exc.code == "non_finite_action":
                # A client's extreme observation can do this to a sound model: the canary decides, and at once.
                self._vitals.suspect(exc.message)
            else:
                self._count_failure(exc.message)
            raise
        finally:
            self._admission.leave(service_s)
        self._vitals.record_success()
        self._missed.clear()
        if staged is not None:
            staged.remember()
        return chunk

    async def _infer_twice_if_lost(
        self, inputs: Sequence[RawTensor], deadline: float, metadata: Metadata, staged: StagedCall | None
    ) -> Outputs:
        try:
            return await self._run(inputs, metadata, staged)
        except TritonCallError as failure:
            if failure.kind not in ("lost", "busy", "unready"):
                raise
            if failure.kind == "lost" and not await self._confirm_live():
                self._vitals.breaker.open("the connection to Triton is lost")
                raise
            if self._now() >= deadline:
                raise
        return await self._run(inputs, metadata, staged)

    async def _run(
        self, inputs: Sequence[RawTensor], metadata: Metadata = (), staged: StagedCall | None = None
    ) -> Outputs:
        try:
            if staged is not None:
                return await staged.ask(self._triton, inputs, metadata)
            return await self._triton.infer(inputs, metadata)
        except TritonCallError as failure:
            if failure.kind == "dead":
                self._on_dead_model()
            raise

    async def _confirm_live(self) -> bool:
        """One probe, however many calls were lost in the same instant."""
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._triton.is_live())
        return await asyncio.shield(self._confirming)

    def _classified(self, failure: TritonCallError) -> ServiceError:
        """What the client is told, after the breaker has been."""
        breaker = self._vitals.breaker
        if failure.kind == "busy":
            return self._admission.refusal()
        if failure.kind in ("dead", "unready"):
            breaker.open(f"the model cannot answer: {_first_line(failure.detail)}")
        elif not breaker.is_open:
            self._count_failure(f"the model failed: {_first_line(failure.detail)}")
        if breaker.is_open and failure.kind != "model":
            is_gpu_lost = LOST_GPU in failure.detail.lower()
            return UnavailableError(
                "circuit_open",
                "the GPU is lost; the model is being loaded anew" if is_gpu_lost else UNANSWERED,
                retry_after_s=max(breaker.probe_in_s, 0.05),
            )
        return InferenceError("inference_failed", OUT_OF_MEMORY if GPU_MEMORY in failure.detail else FAILED)

    def _checked(self, outputs: Outputs) -> Chunk:
        actions = outputs.get("actions")
        if actions is None or actions.dtype != np.float32 or actions.size != self._shape[0] * self._shape[1]:
            raise InferenceError("inference_failed", "the model's answer does not have the policy's shape")
        chunk: Actions = actions.reshape(self._shape)
        if actions.shape not in ((1, *self._shape), self._shape):
            raise InferenceError("inference_failed", "the model's answer does not have the policy's shape")
        if not np.isfinite(chunk).all():
            raise InferenceError("non_finite_action", "the model's answer is not finite; nothing of it may be executed")
        return Chunk(chunk, self._plan(outputs), _velocity_change(outputs))

    def _plan(self, outputs: Outputs) -> Actions | None:
        """The normalised chunk; None rather than one that the next inference could not continue."""
        plan = outputs.get("actions_normalized")
        if plan is None or plan.dtype != np.float32 or plan.shape != (1, *self._shape) or not np.isfinite(plan).all():
            return None
        return plan.reshape(self._shape)

    def _count_failure(self, reason: str) -> None:
        if asyncio.current_task() not in self._judged:
            self._vitals.breaker.record_failure(reason)

    def _is_silent(self, started: float) -> bool:
        """A deadline passed: it counts only if nothing came for longer than this model is known to take.

        That may be longer than any one deadline, so silence is measured from the first call without an answer.
        """
        since = self._vitals.unanswered_since
        silent_s = self._now() - (max(started, self._vitals.last_success_at) if since is None else since)
        return silent_s >= max(PATIENCE_S, 3 * self._admission.service_s)

    def _count_missed(self) -> None:
        """Every deadline of this silence was the model's fault, those too that passed before it was long enough."""
        for call in self._missed - self._judged:
            self._judged.add(call)
            self._vitals.breaker.record_failure(SILENT)
        self._missed.clear()
        self._vitals.suspect(SILENT)


def _velocity_change(outputs: Outputs) -> tuple[float, ...] | None:
    """None rather than what tells nothing."""
    change = outputs.get("velocity_change")
    if change is None or change.dtype != np.float32 or change.ndim != 2 or not np.isfinite(change).all():
        return None
    return tuple(change[0].tolist())


def _drop_late_answer(call: asyncio.Task[Chunk]) -> None:
    if not call.cancelled():
        call.exception()  # retrieved, so that asyncio does not report it as forgotten


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "no reason given"
