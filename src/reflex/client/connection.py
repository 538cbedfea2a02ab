"""Connections over which a `CallPlan` is driven to its answer, waiting or awaiting: all that knows httpx's clients."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

import httpx

from reflex.client.call import Answer, CallPlan, Send, Sleep, Step
from reflex.client.deadline_transport import DeadlineTransport
from reflex.client.http import ApiKey, IncomingAnswer, request_arguments, session_arguments, tls_for, transport_errors
from reflex.errors import TransportError

__all__ = ["AsyncConnection", "Connection"]

logger = logging.getLogger(__name__)


class Connection:
    """To one server; may be shared by threads. `base_url` is a `checked_url`; `transport` replaces the network."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: ApiKey | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base_url = base_url
        self._http = httpx.Client(
            transport=transport or DeadlineTransport(ssl_context=tls_for(base_url)),
            **session_arguments(base_url, headers, api_key),
        )

    def answer(self, plan: CallPlan) -> Answer:
        """Do what the plan says until there is an answer; raises what the plan raises."""
        step: Step = plan.send_now()
        while not isinstance(step, Answer):
            step = self._take(step, plan)
        return step

    def close(self) -> None:
        self._http.close()

    def _take(self, step: Send | Sleep, plan: CallPlan) -> Step:
        if isinstance(step, Sleep):
            time.sleep(step.seconds)
            return plan.send_now()
        _note_request(self._base_url, step)
        try:
            with transport_errors(self._base_url):
                incoming = self._receive(step)
        except TransportError as exc:
            return plan.on_broken(_noted(exc))
        return plan.on_answer(_noted_answer(step, incoming.whole()))

    def _receive(self, send: Send) -> IncomingAnswer:
        ends_s = time.monotonic() + send.timeout_s
        with self._http.stream(**request_arguments(send)) as response:
            incoming = IncomingAnswer(response, send.call.max_answer_bytes)
            pieces = response.iter_bytes() if incoming.is_wanted else ()
            for piece in pieces:
                if time.monotonic() > ends_s:
                    raise TimeoutError  # a transport of the caller's own may count anew with every piece
                if not incoming.take(piece):
                    break
        return incoming


class AsyncConnection:
    """The same for the tasks of one event loop."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: ApiKey | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url = base_url
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=tls_for(base_url) or False,
            **session_arguments(base_url, headers, api_key),
        )

    async def answer(self, plan: CallPlan) -> Answer:
        """Do what the plan says until there is an answer; raises what the plan raises."""
        step: Step = plan.send_now()
        while not isinstance(step, Answer):
            step = await self._take(step, plan)
        return step

    async def close(self) -> None:
        await self._http.aclose()

    async def _take(self, step: Send | Sleep, plan: CallPlan) -> Step:
        if isinstance(step, Sleep):
            await asyncio.sleep(step.seconds)
            return plan.send_now()
        _note_request(self._base_url, step)
        try:
            with transport_errors(self._base_url):
                async with asyncio.timeout(step.timeout_s):
                    incoming = await self._receive(step)
        except TransportError as exc:
            return plan.on_broken(_noted(exc))
        return plan.on_answer(_noted_answer(step, incoming.whole()))

    async def _receive(self, send: Send) -> IncomingAnswer:
        async with self._http.stream(**request_arguments(send)) as response:
            incoming = IncomingAnswer(response, send.call.max_answer_bytes)
            if incoming.is_wanted:
                async for piece in response.aiter_bytes():
                    if not incoming.take(piece):
                        break
        return incoming


def _note_request(base_url: str, send: Send) -> None:
    """Neither headers nor bodies: a key may stand in the one, what a robot sees in the other."""
    logger.debug("%s %s%s", send.call.method, base_url, send.call.path)


def _noted_answer(send: Send, answer: Answer) -> Answer:
    logger.debug("%s %s: %d, %d bytes", send.call.method, send.call.path, answer.status, len(answer.body))
    return answer


def _noted(error: TransportError) -> TransportError:
    logger.debug("%s", error)
    return error
