"""`POST /act`, from the bytes of a body to the bytes of an answer: parse > route > infer > answer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from reflex.errors import DeadlineExceededError, ServiceError, UnauthorizedError, UnavailableError
from reflex.wire import ActTelemetry
from reflex_frontend.act.answer import act_body
from reflex_frontend.act.body_budget import BodyBudget
from reflex_frontend.act.resent import Key, ResentAnswers
from reflex_frontend.callers.keys import KeyRing
from reflex_frontend.callers.sessions import Sessions
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.exchange.instance import Instance
from reflex_frontend.exchange.observer import Observer
from reflex_frontend.exchange.routing import Router, Routing
from reflex_frontend.observation.request import ActRequest, parse_act, parse_large_act
from reflex_frontend.observing.metrics import Metrics
from reflex_frontend.observing.tracing import Tracing
from reflex_frontend.policy.loaded_policy import LoadedPolicy, Outcome
from reflex_frontend.policy.workers import Workers

__all__ = ["ActService"]

RawHeaders = Sequence[tuple[bytes, bytes]]

QUICK_BODY_BYTES: Final = 256 * 1024
"""Up to here a body parses in well under a millisecond; longer ones are parsed off the event loop."""


@dataclass(frozen=True)
class ActService:
    """Answers requests: with one policy, or with two that share the episodes."""

    router: Router
    instance: Instance
    metrics: Metrics
    resent: ResentAnswers[tuple[bytes, Routing]]
    workers: Workers
    robot_id: str | None = None
    bodies: BodyBudget = field(default_factory=BodyBudget)
    observers: tuple[Observer, ...] = ()
    keys: KeyRing | None = None
    """Who may ask; None: everybody who reaches the port."""
    sessions: Sessions | None = None
    """Whose robots may be driven, whatever keys there are; None: everybody's who may ask."""
    tracing: Tracing | None = None

    @property
    def now(self) -> Callable[[], float]:
        """The clock of every deadline, monotonic seconds."""
        return self.workers.now

    async def check_caller(self, headers: RawHeaders, exchange: Exchange) -> None:
        """Raises `ServiceError` for a caller who may not have an answer; notes in `exchange` whose session it is.

        401 and 403 without a valid session where they are asked for; else 401 without a valid key, and 429 beyond
        the key's own limit.
        """
        if self.sessions is not None:
            exchange.session = await self.sessions.admit(headers, self.router.policy_hashes)
        elif self.keys is not None:
            self.keys.take(self.keys.authenticate(headers))

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
        request, digest = await self._parsed(body, exchange.deadline)
        exchange.request = request
        exchange.stage_times.received_at = self.now()
        try:
            exchange.routing = self.router.route(request.episode_id)
            self.instance.admit()
            return await self._answer_admitted(exchange, request, exchange.routing, digest)
        except ServiceError as exc:
            exc.request_id = request.request_id
            self._count_failure(exchange, exc)
            raise

    async def _answer_admitted(self, exchange: Exchange, request: ActRequest, routing: Routing, digest: bytes) -> bytes:
        routing.loaded.vitals.admit()
        if request.resendable and request.episode_id is not None:
            return await self._answer_once(
                (request.episode_id, request.request_id, digest + exchange.session_mark), exchange, request, routing
            )
        return await self._answer(exchange, request, routing)

    async def _parsed(self, body: bytes | bytearray, deadline: float) -> tuple[ActRequest, bytes]:
        """The request, and the digest of its body by which a resent one is known."""
        if len(body) <= QUICK_BODY_BYTES:
            return parse_act(body), _digest(body)
        return await self.workers.run(deadline, lambda: (parse_large_act(body), _digest(body)))

    async def _answer_once(self, key: Key, exchange: Exchange, request: ActRequest, routing: Routing) -> bytes:
        counts = self.metrics.of_slot(routing.slot.name)
        known = self.resent.find(key)
        if known is not None:
            with contextlib.suppress(DeadlineExceededError):  # the first copy's deadline is not this one's
                body, exchange.routing = await self.workers.until(exchange.deadline, asyncio.shield(known))
                counts.cache_hit.inc()
                return body
            if self.now() >= exchange.deadline:
                raise DeadlineExceededError("deadline_exceeded", "the deadline passed while the first copy was running")
        kept = self.resent.begin(key)
        try:
            body = await self._answer(exchange, request, routing)
        except BaseException as exc:
            # Whoever waits for this answer gets the same error; cancellation concerns this client alone.
            kept.set_exception(exc) if isinstance(exc, ServiceError) else kept.cancel()
            raise
        counts.cache_miss.inc()
        kept.set_result((body, exchange.routing or routing))
        return body

    async def _answer(self, exchange: Exchange, request: ActRequest, routing: Routing) -> bytes:
        if self.observers and request.seed is None:
            # Who looks at this answer later must be able to start from the same noise.
            request = dataclasses.replace(request, seed=routing.loaded.noise.next_seed())
            exchange.request, exchange.seed_is_drawn = request, True
        outcome = await _chosen(routing).answer(request, exchange.deadline, exchange.stage_times)
        exchange.outcome = outcome
        if outcome.loaded is not routing.loaded:  # the variant with fewer steps: the headers name what answered
            exchange.routing = dataclasses.replace(routing, loaded=outcome.loaded)
        self._count(exchange, routing, outcome)
        self._tell(exchange, None)
        if exchange.seed_is_drawn:  # runs once this answer is written
            inputs = outcome.loaded.policy.config.inputs
            asyncio.get_running_loop().call_soon(outcome.loaded.noise.prepare, inputs)
        return self._body(exchange, request, outcome)

    def _count(self, exchange: Exchange, routing: Routing, outcome: Outcome) -> None:
        latency_s = outcome.finished_at - exchange.received_at
        self.metrics.of_slot(routing.slot.name).observe_success(latency_s, clamped=outcome.result.clamped)
        if routing.slot.slo is not None:
            # How long a robot took to send its picture is no fault of the policy.
            routing.slot.slo.record(outcome.finished_at - (exchange.stage_times.received_at or exchange.received_at))

    def _count_failure(self, exchange: Exchange, error: ServiceError) -> None:
        routing = exchange.routing
        slo = None if routing is None else routing.slot.slo
        if slo is not None and isinstance(error, DeadlineExceededError):
            waited_s = self.now() - (exchange.stage_times.received_at or exchange.received_at)
            if waited_s > slo.slo.threshold_s:  # a robot that waits for less says nothing about the objective
                slo.record(waited_s)
        if routing is not None and error.code == "implausible_action":
            self.metrics.of_slot(routing.slot.name).implausible.inc()
        self._tell(exchange, error)

    def _tell(self, exchange: Exchange, error: ServiceError | None) -> None:
        for observer in self.observers:
            observer.note(exchange, error)

    def _body(self, exchange: Exchange, request: ActRequest, outcome: Outcome) -> bytes:
        telemetry: ActTelemetry = {} if self.robot_id is None else {"robot_id": self.robot_id}
        if exchange.routing is not None and self.router.has_two:
            telemetry["policy_slot"] = exchange.routing.slot.name
            telemetry["routing_degraded"] = exchange.routing.is_degraded
        if exchange.record_seq is not None:
            telemetry["record_seq"] = exchange.record_seq
        latency_ms = (outcome.finished_at - exchange.received_at) * 1000.0
        if exchange.session is not None:
            telemetry["mode"] = exchange.session.mode
        config = outcome.loaded.policy.config
        return act_body(config, outcome.result, request.request_id, latency_ms, outcome.timing, telemetry)


def _chosen(routing: Routing) -> LoadedPolicy:
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


def _digest(body: bytes | bytearray) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()
