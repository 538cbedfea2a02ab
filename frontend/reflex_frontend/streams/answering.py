"""One observation of a stream, answered and counted as a request of `/act` is."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from reflex.errors import ServiceError, service_error
from reflex.wire import ActResult
from reflex_frontend.act.act import ActService
from reflex_frontend.act.resent import Body
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.observation.request import ActRequest
from reflex_frontend.streams.connection import RawHeaders

__all__ = ["Parse", "answer_observation"]

Parse = Callable[[Exchange], Awaitable[tuple[ActRequest, Body]]]
"""Reads the observation: the request, and what it came in. May set the exchange's deadline."""

log = logging.getLogger("reflex.streams")


async def answer_observation(service: ActService, headers: RawHeaders, exchange: Exchange, parse: Parse) -> ActResult:
    """The answer; raises `ServiceError` and nothing else, also for what is a fault of ours.

    `headers` are those that opened the stream: whose session has ended, or whose key is gone, gets no further answer.
    """
    service.instance.answering += 1
    tracing = service.tracing
    if tracing is not None:
        exchange.stage_times.trace = tracing.begin(headers)
    error: ServiceError | None = None
    try:
        return await _answer(service, headers, exchange, parse)
    except ServiceError as exc:
        error = exc
        raise
    finally:
        service.instance.answering -= 1
        slot = exchange.routing.slot.name if exchange.routing else None
        service.metrics.count_answer(200 if error is None else error.status, slot)
        if tracing is not None:
            tracing.note(exchange, error, service.now())


async def _answer(service: ActService, headers: RawHeaders, exchange: Exchange, parse: Parse) -> ActResult:
    try:
        await service.check_caller(headers, exchange)
        request, body = await parse(exchange)
        return await service.answer_request(request, body, exchange)
    except ServiceError:
        raise
    except Exception:
        log.exception("request failed")
        raise service_error("internal", "the server failed on this request; it has been logged") from None
