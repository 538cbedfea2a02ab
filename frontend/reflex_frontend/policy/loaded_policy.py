"""One loaded policy, and one inference with it: fit > decode and tokenise > admit > infer > guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reflex.errors import DeadlineExceededError
from reflex.guard import ActionGuard, GuardResult
from reflex.wire import Timing
from reflex_frontend.observation.guidance import Guidance
from reflex_frontend.observation.images import Pixels, decode_image, decode_quickly
from reflex_frontend.observation.observation import (
    NoiseSource,
    camera_sources,
    check_state,
    check_steps,
    observation_tensors,
)
from reflex_frontend.observation.request import ActRequest, ImageSource
from reflex_frontend.policy.admission import Admission
from reflex_frontend.policy.inference import Actions, ModelRunner
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.policy.stage_times import StageTimes
from reflex_frontend.policy.vitals import Vitals
from reflex_frontend.policy.workers import Workers
from reflex_frontend.triton.gateway import RawTensor, Triton
from reflex_frontend.triton.stages import StagedCall

__all__ = ["LoadedPolicy", "Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy made of one request."""

    loaded: LoadedPolicy
    chunk: Actions
    """As the policy gave it, float32 [horizon, action_dim], finite."""
    result: GuardResult
    timing: Timing
    pixels: Mapping[str, Pixels]
    finished_at: float
    plan: Actions | None = None
    """`chunk` in the policy's normalised space; None where nobody asked for it."""
    velocity_change: tuple[float, ...] | None = None
    """At each denoising step; None where nobody asked for it."""


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy that is loaded on Triton. Nothing in it changes: another policy is another `LoadedPolicy`."""

    policy: ServedPolicy
    guard: ActionGuard | None
    admission: Admission
    runner: ModelRunner
    vitals: Vitals
    triton: Triton
    noise: NoiseSource
    workers: Workers

    async def answer(
        self,
        request: ActRequest,
        deadline: float,
        stage_times: StageTimes,
        guidance: Guidance | None = None,
        staged: StagedCall | None = None,
    ) -> Outcome:
        """One chunk for one request; raises `ServiceError`, at the latest at `deadline`. Fills in its `stage_times`."""
        now = self.workers.now
        check_state(request, self.policy.config.state_dim)
        check_steps(request, self.policy.config)
        sources = camera_sources(request, self.policy.config)
        stage_times.routed_at = routed_at = now()
        stage_times.decoded_at = routed_at  # who is refused at once is refused by the queue, with nothing decoded
        with self.admission.preparing(deadline):
            stage_times.decoded_at = None
            tensors, pixels = await self._observed(request, sources, deadline, guidance)
        stage_times.decoded_at = decoded_at = now()
        await self.admission.enter(deadline)
        stage_times.queued_at = admitted_at = now()
        metadata = stage_times.trace.metadata if stage_times.trace else ()
        chunk = await self.runner.infer(tensors, deadline, metadata, staged)
        stage_times.inferred_at = inferred_at = now()
        result = self.guarded(chunk.actions)
        self.vitals.plausibility.check(result)
        stage_times.guarded_at = guarded_at = now()
        timing: Timing = {
            "decode_ms": _ms(decoded_at - routed_at),
            "queue_ms": _ms(admitted_at - decoded_at),
            "infer_ms": _ms(inferred_at - admitted_at),
            "guard_ms": _ms(guarded_at - inferred_at),
        }
        return Outcome(self, chunk.actions, result, timing, pixels, guarded_at, chunk.normalized, chunk.velocity_change)

    def tensors(
        self, request: ActRequest, pixels: Mapping[str, Pixels], guidance: Guidance | None = None
    ) -> list[RawTensor]:
        """The ensemble's inputs for a request whose images are decoded."""
        prompts = self.policy.prompts
        prompt = None if prompts is None else prompts.encode(request.instruction, request.state)
        return observation_tensors(self.policy.config, request, pixels, prompt, self.noise, guidance)

    def guarded(self, chunk: Actions) -> GuardResult:
        """The chunk inside the embodiment's limits, or as it came when there is no guard."""
        if self.guard is None:
            return GuardResult(actions=chunk, violations=())
        return self.guard.check(chunk)

    async def _observed(
        self, request: ActRequest, sources: Mapping[str, ImageSource], deadline: float, guidance: Guidance | None
    ) -> tuple[list[RawTensor], Mapping[str, Pixels]]:
        """What the model is asked, and the pictures in it. Nobody waits for this: it holds no place in flight."""
        pixels = {name: await self._pixels(source, deadline) for name, source in sources.items()}
        tensors = self.tensors(request, pixels, guidance)
        if self.workers.now() >= deadline:
            raise DeadlineExceededError("deadline_exceeded", "the deadline passed before the model could run")
        return tensors, pixels

    async def _pixels(self, source: ImageSource, deadline: float) -> Pixels:
        pixels = decode_quickly(source)
        return await self.workers.run(deadline, decode_image, source) if pixels is None else pixels


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 3)
