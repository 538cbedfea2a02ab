"""`POST /act`, from the bytes of a body to the bytes of an answer: parse > route > infer > answer.

Other transports parse and write by themselves: they have `answer_request`.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from reflex.errors import DeadlineExceededError, ServiceError, UnauthorizedError, UnavailableError
from reflex.wire import ActResult, ActTelemetry
from reflex.wire.arrays import Dialect
from reflex_frontend.act.answer import act_body, act_result
from reflex_frontend.act.body_budget import BodyBudget
from reflex_frontend.act.resent import Body, Key, ResentAnswers, digest_of
from reflex_frontend.act.telling import motion_told
from reflex_frontend.callers.keys import KeyRing
from reflex_frontend.callers.sessions import Sessions
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.exchange.instance import Instance
from reflex_frontend.exchange.observer import Observer
from reflex_frontend.exchange.routing import Router, Routing
from reflex_frontend.motion.adaptive import AdaptiveSteps
from reflex_frontend.motion.correction import Corrector
from reflex_frontend.motion.prefixes import PrefixCache
from reflex_frontend.motion.rtc import Asked, RealTimeChunking
from reflex_frontend.observation.packed import parse_packed
from reflex_frontend.observation.request import ActRequest, parse_act, parse_large_act
from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.observing.tracing import Tracing
from reflex_frontend.policy.loaded_policy import LoadedPolicy, Outcome
from reflex_frontend.policy.workers import Workers

__all__ = ["QUICK_BODY_BYTES", "ActService"]

RawHeaders = Sequence[tuple[bytes, bytes]]
Parsed = TypeVar("Parsed")
Parse = Callable[[bytes | bytearray], Parsed]

OF_ITS_DEADLINE: Final = ("deadline_exceeded", "queue_full")
"""What became of the first copy of a request for its deadline, which is not that of the second."""
QUICK_BODY_BYTES: Final = 256 * 1024
"""Up to here a body parses in well under a millisecond; longer ones are parsed, and digested, off the event loop."""


@dataclass(frozen=True)
class ActService:
    """Answers requests: with one policy, or with two that share the episodes."""

    router: Router
    instance: Instance
    metrics: Metrics
    resent: ResentAnswers[tuple[ActResult, Routing]]
    workers: Workers
    robot_id: str | None = None
    bodies: BodyBudget = field(default_factory=BodyBudget)
    observers: tuple[Observer, ...] = ()
    keys: KeyRing | None = None
    """Who may ask; None: everybody who reaches the port."""
    sessions: Sessions | None = None
    """Whose robots may be driven, whatever keys there are; None: everybody's who may ask."""
    tracing: Tracing | None = None
    injected_latency_s: float = 0.0
    """So long every answer is held back, for trials of a slow server."""
    rtc: RealTimeChunking | None = None
    """Has each chunk of an episode continue the one before; None: every chunk begins anew."""
    corrector: Corrector | None = None
    """Corrects what latency made stale; None: nothing is."""
    adaptive: AdaptiveSteps | None = None
    """Chooses the number of denoising steps; None: it is the policy's, or the objective's."""
    tells_velocity_change: bool = False
    device: DeviceInUse = field(default_factory=DeviceInUse.elsewhere)
    """What the policies run on."""
    prefixes: PrefixCache | None = None
    """Spares the model what an episode's last observation has told it already; None: it is told everything."""

    @property
    def now(self) -> Callable[[], float]:
        """The clock of every deadline, monotonic seconds."""
        return self.workers.now

    async def check_caller(self, headers: RawHeaders, exchange: Exchange) -> None:
        """Raises `ServiceError` for a caller who may not have an answer; notes in `exchange` who it is.

        401 and 403 without a valid session where they are asked for; else 401 without a valid key, and 429 beyond
        the key's own limit.
        """
        if self.sessions is not None:
            exchange.session = await self.sessions.admit(headers, self.router.policy_hashes)
        elif self.keys is not None:
            key = self.keys.authenticate(headers)
            self.keys.take(key)
            exchange.key_name = key.name

    async def check_stream(self, headers: RawHeaders) -> None:
        """Raises what `check_caller` would, before a stream of requests; uses up nothing of a key's limit."""
        if self.sessions is not None:
            await self.sessions.admit(headers, self.router.policy_hashes)
        elif self.keys is not None:
            self.keys.authenticate(headers)

    async def check_reader(self, headers: RawHeaders) -> None:
        """Raises `ServiceError` for a caller who may not read what is served: a key lets in, and a session does."""
        if self.keys is not None:
            try:
                self.keys.authenticate(headers)
            except UnauthorizedError:
                if self.sessions is None:
                    raise
            else:
                return
        if self.sessions is not None:
            await self.sessions.authenticate(headers)

    async def answer(self, body: bytes | bytearray, exchange: Exchange) -> bytes:
        """The body of the 200; raises `ServiceError`, with the request's own id, for every other status.

        `exchange` is filled in on the way, also when the request fails.
        """
        return act_body(await self.answer_parsed(body, exchange))

    async def answer_packed(self, body: bytes | bytearray, exchange: Exchange) -> tuple[ActResult, Dialect | None]:
        """The answer to a body in msgpack, and the dialect in which that had arrays; raises like `answer`."""
        request, dialect = await self._parsed(body, exchange.deadline, parse_packed, parse_packed)
        return await self.answer_request(request, body, exchange), dialect

    async def answer_parsed(self, body: bytes | bytearray, exchange: Exchange) -> ActResult:
        """The answer to a body in JSON, for whoever wants it otherwise; raises like `answer`."""
        request = await self._parsed(body, exchange.deadline, parse_act, parse_large_act)
        return await self.answer_request(request, body, exchange)

    async def answer_request(self, request: ActRequest, body: Body, exchange: Exchange) -> ActResult:
        """The answer to a request that is parsed, for its transport to write; nobody may change it.

        `body` is what it came in: a resent request comes in the same, and gets the same answer. Raises like `answer`.
        """
        exchange.request = request
        exchange.stage_times.received_at = self.now()
        try:
            exchange.routing = self.router.route(request.episode_id)
            self.instance.admit()
            return await self._answer_admitted(exchange, request, exchange.routing, body)
        except ServiceError as exc:
            exc.request_id = request.request_id
            self._count_failure(exchange, exc)
            raise

    def whose(self, exchange: Exchange) -> ActTelemetry:
        """What every answer says of the robot, the policy's slot and the session."""
        telemetry: ActTelemetry = {} if self.robot_id is None else {"robot_id": self.robot_id}
        if exchange.routing is not None and self.router.has_two:
            telemetry["policy_slot"] = exchange.routing.slot.name
            telemetry["routing_degraded"] = exchange.routing.is_degraded
        if exchange.session is not None:
            telemetry["mode"] = exchange.session.mode
        return telemetry

    async def _answer_admitted(
        self, exchange: Exchange, request: ActRequest, routing: Routing, body: Body
    ) -> ActResult:
        routing.loaded.vitals.admit()
        if request.resendable and request.episode_id is not None:
            mark = await self._digest(body, request.instruction, exchange.deadline) + exchange.session_mark
            return await self._answer_once((request.episode_id, request.request_id, mark), exchange, request, routing)
        return await self._answer(exchange, request, routing)

    async def _parsed(
        self, body: bytes | bytearray, deadline: float, parse: Parse[Parsed], parse_large: Parse[Parsed]
    ) -> Parsed:
        if len(body) <= QUICK_BODY_BYTES:
            return parse(body)
        return await self.workers.run(deadline, parse_large, body)

    async def _digest(self, body: Body, instruction: str, deadline: float) -> bytes:
        if len(body) <= QUICK_BODY_BYTES:
            return digest_of(body, instruction)
        return await self.workers.run(deadline, digest_of, body, instruction)

    async def _answer_once(self, key: Key, exchange: Exchange, request: ActRequest, routing: Routing) -> ActResult:
        counts = self.metrics.of_slot(routing.slot.name)
        while (known := self.resent.find(key)) is not None:  # after a copy that failed, the next one may be running
            try:
                answer, exchange.routing = await self.workers.until(exchange.deadline, asyncio.shield(known))
            except ServiceError as exc:
                if exc.code not in OF_ITS_DEADLINE:
                    raise
            else:
                counts.cache_hit.inc()
                return answer
            if self.now() >= exchange.deadline:
                raise DeadlineExceededError("deadline_exceeded", "the deadline passed while the first copy was running")
        kept = self.resent.begin(key)
        try:
            answer = await self._answer(exchange, request, routing)
        except BaseException as exc:
            # Whoever waits for this answer gets the same error; cancellation concerns this client alone.
            kept.set_exception(exc) if isinstance(exc, ServiceError) else kept.cancel()
            raise
        counts.cache_miss.inc()
        kept.set_result((answer, exchange.routing or routing))
        return answer

    async def _answer(self, exchange: Exchange, request: ActRequest, routing: Routing) -> ActResult:
        if self.observers and request.seed is None:
            # Who looks at this answer later must be able to start from the same noise.
            request = dataclasses.replace(request, seed=routing.loaded.noise.next_seed())
            exchange.request, exchange.seed_is_drawn = request, True
        chosen = self._chosen(exchange, request, routing)
        if self.rtc is not None:
            exchange.continuation = self.rtc.continued(_asked(exchange, request), chosen.policy)
        guidance = None if exchange.continuation is None else exchange.continuation.guidance
        staged = None if self.prefixes is None else self.prefixes.call(_asked(exchange, request), chosen.policy)
        outcome = await chosen.answer(request, exchange.deadline, exchange.stage_times, guidance, staged)
        if self.prefixes is not None:
            exchange.cache_hit = staged is not None and staged.is_hit
        if self.injected_latency_s:
            outcome = await self._held_back(exchange, outcome)
        if self.corrector is not None:
            outcome = self._corrected(self.corrector, exchange, request, routing, outcome)
        exchange.outcome = outcome
        if outcome.loaded is not routing.loaded:  # the variant with fewer steps: the headers name what answered
            exchange.routing = dataclasses.replace(routing, loaded=outcome.loaded)
        self._count(exchange, routing, outcome)
        if self.rtc is not None or self.adaptive is not None:
            self._learn(_asked(exchange, request), routing, outcome)
        self._tell(exchange, None)
        if exchange.seed_is_drawn:  # runs once this answer is written
            inputs = outcome.loaded.policy.config.inputs
            asyncio.get_running_loop().call_soon(outcome.loaded.noise.prepare, inputs)
        return self._result(exchange, request, outcome)

    def _chosen(self, exchange: Exchange, request: ActRequest, routing: Routing) -> LoadedPolicy:
        """The routed policy, or its variant with the steps that its objective or its episode wants."""
        chosen = _by_objective(routing)
        if self.adaptive is None or chosen is not routing.loaded:
            return chosen
        return self.adaptive.chosen(_asked(exchange, request), routing.loaded, routing.slot.variants)

    def _learn(self, asked: Asked, routing: Routing, outcome: Outcome) -> None:
        """What the next request of the episode continues, and how many steps it takes."""
        if self.rtc is not None:
            self.rtc.note(asked, outcome.loaded.policy.config, outcome.plan, outcome.finished_at)
        if self.adaptive is not None:
            self.adaptive.note(asked, routing.loaded, routing.slot.variants, outcome.velocity_change)

    async def _held_back(self, exchange: Exchange, outcome: Outcome) -> Outcome:
        """The same, that much later; the deadline holds all the same. The model is free for others meanwhile."""
        given_at = self.now()
        remaining_s = max(0.0, exchange.deadline - given_at)
        await asyncio.sleep(min(self.injected_latency_s, remaining_s))
        exchange.held_back_s = self.now() - given_at
        if remaining_s < self.injected_latency_s:
            raise DeadlineExceededError(
                "deadline_exceeded", "the deadline passed while the answer was held back by --inject-latency-ms"
            )
        return dataclasses.replace(outcome, finished_at=self.now())

    def _corrected(
        self, corrector: Corrector, exchange: Exchange, request: ActRequest, routing: Routing, outcome: Outcome
    ) -> Outcome:
        """The same, its actions corrected and held to the limits again; real-time chunking goes on from the plan."""
        latency_s, stated = outcome.finished_at - exchange.received_at, request.inference_delay_steps
        correction = corrector.of_answer(request.state, outcome.chunk, outcome.loaded.policy, latency_s, stated)
        exchange.correction = correction
        self.metrics.count_a2c2(routing.slot.name, correction.reason or "applied")
        if correction.actions is None:
            return outcome
        return dataclasses.replace(outcome, result=outcome.loaded.guarded(correction.actions), finished_at=self.now())

    def _count(self, exchange: Exchange, routing: Routing, outcome: Outcome) -> None:
        latency_s = outcome.finished_at - exchange.received_at
        counts = self.metrics.of_slot(routing.slot.name)
        counts.observe_success(latency_s, clamped=outcome.result.clamped)
        counts.queue.observe(outcome.timing["queue_ms"] / 1000.0)
        if exchange.continuation is not None:
            self.metrics.count_rtc(routing.slot.name, exchange.continuation.reason or "applied")
        if exchange.cache_hit is not None:
            self.metrics.prefixes.count(routing.slot.name, is_hit=exchange.cache_hit)
        if routing.slot.variants:
            self.metrics.count_steps(routing.slot.name, outcome.loaded.policy.config.denoising_steps)
        if routing.slot.slo is not None:
            routing.slot.slo.record(_policy_time_s(exchange, outcome.finished_at))

    def _count_failure(self, exchange: Exchange, error: ServiceError) -> None:
        routing = exchange.routing
        slo = None if routing is None else routing.slot.slo
        if slo is not None and isinstance(error, DeadlineExceededError):
            waited_s = _policy_time_s(exchange, self.now())
            if waited_s > slo.slo.threshold_s:  # a robot that waits for less says nothing about the objective
                slo.record(waited_s)
        if routing is not None and error.code == "implausible_action":
            self.metrics.of_slot(routing.slot.name).implausible.inc()
        self._tell(exchange, error)

    def _tell(self, exchange: Exchange, error: ServiceError | None) -> None:
        for observer in self.observers:
            observer.note(exchange, error)

    def _result(self, exchange: Exchange, request: ActRequest, outcome: Outcome) -> ActResult:
        telemetry = self.whose(exchange)
        if exchange.record_seq is not None:
            telemetry["record_seq"] = exchange.record_seq
        if self.injected_latency_s:
            telemetry["injected_latency_ms"] = round(self.injected_latency_s * 1000.0, 3)
        latency_ms = (outcome.finished_at - exchange.received_at) * 1000.0
        telemetry.update(motion_told(exchange))
        if self.tells_velocity_change and outcome.velocity_change is not None:
            telemetry["velocity_change"] = list(outcome.velocity_change)
        config = outcome.loaded.policy.config
        mode = self.device.mode(config)
        return act_result(
            config, outcome.result, request.request_id, latency_ms, outcome.timing, telemetry, inference_mode=mode
        )


def _policy_time_s(exchange: Exchange, at: float) -> float:
    """What counts towards an objective: not how long a robot took to send its picture, nor what a trial adds."""
    return at - (exchange.stage_times.received_at or exchange.received_at) - exchange.held_back_s


def _by_objective(routing: Routing) -> LoadedPolicy:
    """The routed policy, or what the slot's objective makes of the request while it is missed."""
    slot, slo = routing.slot, routing.slot.slo
    if slo is None or not slo.is_violated:
        return routing.loaded
    if slot.slo_mode == "refuse" and not slo.admits():
        raise UnavailableError(
            "slo_violation",
            f"answers have been slower than {slo.slo.name} allows; this request was refused before the model ran",
            retry_after_s=slo.retry_after_s,
        )
    reduced = slot.reduced if slot.slo_mode == "degrade" else None
    return routing.loaded if reduced is None or reduced.vitals.is_out else reduced


def _asked(exchange: Exchange, request: ActRequest) -> Asked:
    parsed_at = exchange.stage_times.received_at
    return Asked(
        request, exchange.owner, exchange.received_at, exchange.received_at if parsed_at is None else parsed_at
    )
