"""`POST /act`, from the bytes of a body to the bytes of an answer.

parse > admit > decode and tokenise > infer > guard > answer; each stage's time is in the answer's `timing`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from reflex.errors import DeadlineExceededError, ServiceError, service_error
from reflex.guard import ActionGuard, GuardResult
from reflex_frontend.admission import Admission
from reflex_frontend.answer import act_body
from reflex_frontend.bodies import BodyBudget
from reflex_frontend.images import Pixels, decode_image, decode_small_jpeg
from reflex_frontend.inference import Actions, ModelRunner
from reflex_frontend.metrics import Metrics
from reflex_frontend.observation import NoiseSource, camera_sources, check_state, observation_tensors
from reflex_frontend.policy import ServedPolicy
from reflex_frontend.request import ActRequest, ImageSource, parse_act, parse_large_act
from reflex_frontend.resent import Key, ResentAnswers
from reflex_frontend.vitals import Vitals

__all__ = ["ActService"]

QUICK_BODY_BYTES: Final = 256 * 1024
"""Up to here a body parses in well under a millisecond; longer ones are parsed off the event loop."""

T = TypeVar("T")


@dataclass(frozen=True)
class ActService:
    """Answers requests of one policy. `now` is the clock of every deadline, monotonic seconds."""

    policy: ServedPolicy
    guard: ActionGuard | None
    admission: Admission
    runner: ModelRunner
    vitals: Vitals
    metrics: Metrics
    resent: ResentAnswers
    noise: NoiseSource
    workers: Executor
    now: Callable[[], float]
    robot_id: str | None = None
    bodies: BodyBudget = field(default_factory=BodyBudget)

    async def answer(self, body: bytes | bytearray, received_at: float, deadline_ms: float) -> bytes:
        """The body of the 200; raises `ServiceError`, with the request's own id, for every other status."""
        deadline = received_at + deadline_ms / 1000.0
        request, digest = await self._parsed(body, deadline)
        try:
            self.vitals.admit()
            if request.resendable and request.episode_id is not None:
                key = (request.episode_id, request.request_id, digest)
                return await self._answer_once(key, request, received_at, deadline)
            return await self._answer(request, received_at, deadline)
        except ServiceError as exc:
            exc.request_id = request.request_id
            raise

    async def _parsed(self, body: bytes | bytearray, deadline: float) -> tuple[ActRequest, bytes]:
        """The request, and the digest of its body by which a resent one is known."""
        if len(body) <= QUICK_BODY_BYTES:
            return parse_act(body), _digest(body)
        return await self._in_worker(deadline, lambda: (parse_large_act(body), _digest(body)))

    async def _answer_once(self, key: Key, request: ActRequest, received_at: float, deadline: float) -> bytes:
        known = self.resent.find(key)
        if known is not None:
            self.metrics.cache_hit.inc()
            with contextlib.suppress(DeadlineExceededError):  # the first copy's deadline is not this one's
                return await self._until(deadline, asyncio.shield(known))
            if self.now() >= deadline:
                raise DeadlineExceededError("deadline_exceeded", "the deadline passed while the first copy was running")
        self.metrics.cache_miss.inc()
        slot = self.resent.begin(key)
        try:
            body = await self._answer(request, received_at, deadline)
        except BaseException as exc:
            # Whoever waits for this answer gets the same error; cancellation concerns this client alone.
            slot.set_exception(exc) if isinstance(exc, ServiceError) else slot.cancel()
            raise
        slot.set_result(body)
        return body

    async def _answer(self, request: ActRequest, received_at: float, deadline: float) -> bytes:
        config = self.policy.config
        check_state(request, config.state_dim)
        sources = camera_sources(request, config)
        parsed_at = self.now()
        await self.admission.enter(deadline)
        admitted_at = self.now()
        actions, decoded_at = await self._infer(request, sources, deadline)
        inferred_at = self.now()
        result = self._guarded(actions)
        guarded_at = self.now()
        timing = {
            "decode_ms": _ms(decoded_at - admitted_at),
            "queue_ms": _ms(admitted_at - parsed_at),
            "infer_ms": _ms(inferred_at - decoded_at),
            "guard_ms": _ms(guarded_at - inferred_at),
        }
        latency_s = guarded_at - received_at
        self.metrics.observe_success(latency_s, clamped=result.clamped)
        return act_body(config, result, request.request_id, latency_s * 1000.0, timing, self.robot_id)

    async def _infer(
        self, request: ActRequest, sources: Mapping[str, ImageSource], deadline: float
    ) -> tuple[Actions, float]:
        """Holds a place in flight on entry; it is the runner's once the model runs."""
        is_handed_over = False
        try:
            pixels = {name: await self._pixels(source, deadline) for name, source in sources.items()}
            prompts = self.policy.prompts
            prompt = None if prompts is None else prompts.encode(request.instruction, request.state)
            tensors = observation_tensors(self.policy.config, request, pixels, prompt, self.noise)
            decoded_at = self.now()
            if decoded_at >= deadline:
                raise DeadlineExceededError("deadline_exceeded", "the deadline passed before the model could run")
            is_handed_over = True
        finally:
            if not is_handed_over:
                self.admission.leave(None)
        return await self.runner.infer(tensors, deadline), decoded_at

    async def _pixels(self, source: ImageSource, deadline: float) -> Pixels:
        pixels = decode_small_jpeg(source)
        return await self._in_worker(deadline, decode_image, source) if pixels is None else pixels

    def _guarded(self, actions: Actions) -> GuardResult:
        if self.guard is None:
            return GuardResult(actions=actions, violations=())
        return self.guard.check(actions)

    async def _in_worker(self, deadline: float, function: Callable[..., T], *arguments: object) -> T:
        return await self._until(
            deadline, asyncio.get_running_loop().run_in_executor(self.workers, function, *arguments)
        )

    async def _until(self, deadline: float, future: asyncio.Future[T]) -> T:
        try:
            async with asyncio.timeout(deadline - self.now()):
                return await future
        except TimeoutError:
            raise service_error("deadline_exceeded", "the deadline passed before the model could run") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            # Not we but the one whose answer we waited for went away; this client may try again.
            if future.cancelled() and not (task and task.cancelling()):
                raise service_error("inference_failed", "the first copy of this request was abandoned") from None
            raise


def _digest(body: bytes | bytearray) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 3)
