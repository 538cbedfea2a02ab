"""`POST /act/correct`: the rest of a chunk, corrected by the newest state: without a model, for every control step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np

from reflex.errors import DeadlineExceededError, ServiceError
from reflex.guard import GuardResult
from reflex.wire import CorrectResult
from reflex.wire.arrays import Dialect
from reflex_frontend.act.act import QUICK_BODY_BYTES, ActService
from reflex_frontend.act.answer import act_body
from reflex_frontend.act.telling import correction_told
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.exchange.routing import Routing
from reflex_frontend.motion.correction import Correction, Corrector
from reflex_frontend.observation.request import refuse
from reflex_frontend.observation.rest import RestRequest, checked_position, parse_packed_rest, parse_rest

__all__ = ["CorrectService"]

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class CorrectService:
    """Answers with what `act` has: its policies, its limits, its head. A policy whose model is out is no hindrance."""

    act: ActService

    async def answer(self, body: bytes | bytearray, exchange: Exchange) -> bytes:
        """The body of the 200; raises `ServiceError`, with the request's own id, for every other status."""
        return act_body(await self.answer_parsed(body, exchange))

    async def answer_parsed(self, body: bytes | bytearray, exchange: Exchange) -> CorrectResult:
        """The answer to a body in JSON; raises like `answer`."""
        corrector = self._corrector()
        return self._answered(corrector, await self._parsed(body, exchange.deadline, parse_rest), exchange)

    async def answer_packed(self, body: bytes | bytearray, exchange: Exchange) -> tuple[CorrectResult, Dialect | None]:
        """The answer to a body in msgpack, and the dialect in which that had arrays; raises like `answer`."""
        corrector = self._corrector()
        request, dialect = await self._parsed(body, exchange.deadline, parse_packed_rest)
        return self._answered(corrector, request, exchange), dialect

    def _corrector(self) -> Corrector:
        if self.act.corrector is None:
            raise refuse("not_found", "this server corrects nothing: it runs without --a2c2-checkpoint")
        return self.act.corrector

    async def _parsed(
        self, body: bytes | bytearray, deadline: float, parse: Callable[[bytes | bytearray], Parsed]
    ) -> Parsed:
        if len(body) <= QUICK_BODY_BYTES:
            return parse(body)
        return await self.act.workers.run(deadline, parse, body)

    def _answered(self, corrector: Corrector, request: RestRequest, exchange: Exchange) -> CorrectResult:
        try:
            exchange.routing = self.act.router.route(request.episode_id)
            self.act.instance.admit()
            correction, result = self._corrected(corrector, request, exchange.routing)
            if self.act.now() >= exchange.deadline:
                raise DeadlineExceededError(
                    "deadline_exceeded", "the deadline passed before the actions were corrected"
                )
        except ServiceError as exc:
            exc.request_id = request.request_id
            raise
        self.act.metrics.count_a2c2(exchange.routing.slot.name, correction.reason or "applied")
        return self._result(request, exchange, exchange.routing, correction, result)

    def _corrected(
        self, corrector: Corrector, request: RestRequest, routing: Routing
    ) -> tuple[Correction, GuardResult]:
        loaded = routing.loaded
        position = checked_position(request, loaded.policy.config)
        rest = np.asarray(request.actions, np.float32)
        correction = corrector.of_rest(request.state, rest, loaded.policy, position)
        return correction, loaded.guarded(rest if correction.actions is None else correction.actions)

    def _result(
        self, request: RestRequest, exchange: Exchange, routing: Routing, correction: Correction, result: GuardResult
    ) -> CorrectResult:
        steps, axes = result.actions.shape
        answer = {
            "actions": result.actions,
            "num_actions": steps,
            "action_dim": axes,
            "latency_ms": round((self.act.now() - exchange.received_at) * 1000.0, 3),
            "guard_clamped": result.clamped,
            "guard_violations": [violation.as_dict() for violation in result.violations],
            "request_id": request.request_id,
            "model_version": routing.loaded.policy.config.model_version,
            **correction_told(correction),
            **self.act.whose(exchange),
        }
        return cast("CorrectResult", answer)
