"""The asyncio client: the same thin driver of `CallPlan`, awaiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from reflex.client.acting import Acting, Observation, Rest, act_call, correct_call, new_id
from reflex.client.call import (
    CONFIG_CALL,
    HEALTH_CALL,
    METRICS_CALL,
    Answer,
    Call,
    CallPlan,
    read_health,
)
from reflex.client.connection import AsyncConnection
from reflex.client.embodiment import embodiment_of
from reflex.client.http import DEFAULT_URL, ApiKey, checked_deadline_s, checked_url
from reflex.wire import (
    ActResult,
    CorrectResult,
    HealthReport,
    parse_act_result,
    parse_correct_result,
    parse_object,
)

if TYPE_CHECKING:
    from reflex.embodiments import Embodiment

__all__ = ["AsyncEpisode", "AsyncReflexClient"]

ActCoroutine = Coroutine[Any, Any, ActResult]
CorrectCoroutine = Coroutine[Any, Any, CorrectResult]


class AsyncReflexClient(Acting[ActCoroutine, CorrectCoroutine]):
    """A connection to one Reflex server; may be shared by the tasks of one event loop. Use it with `async with`, or
    await `close`.

    `deadline_s` is the total of a call, its retries and waits included; the server is told what remains of it (at most
    10 s at a time). `api_key` and `headers` are those of `ReflexClient`. `transport` replaces the network:
    `MockTransport` in tests, or `httpx.AsyncHTTPTransport(verify=...)` for your own certificates.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        deadline_s: float = 1.0,
        api_key: ApiKey | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._deadline_s = checked_deadline_s(deadline_s)
        self._connection = AsyncConnection(checked_url(base_url), api_key=api_key, headers=headers, transport=transport)

    def episode(self, episode_id: str | None = None, *, instruction: str | None = None) -> AsyncEpisode:
        """Start an episode, by default under a new UUID; `instruction` serves every `act` that gives none."""
        return AsyncEpisode(self, episode_id or new_id(), instruction)

    async def health(self) -> HealthReport:
        """`GET /health`, whether the server is ready or not; never retried."""
        return read_health(await self._call(HEALTH_CALL, time.monotonic()))

    async def config(self) -> dict[str, Any]:
        """The policy's `reflex_config.json` (`cameras`, `state_dim`, `horizon`, ...) and its embodiment."""
        return parse_object((await self._call(CONFIG_CALL, time.monotonic())).body)

    async def embodiment(self) -> Embodiment:
        """The served robot: names, units and limits of its axes, and `control_hz`, the rate at which to run a chunk."""
        return embodiment_of(await self.config())

    async def metrics(self) -> str:
        """`GET /metrics`: what the server has counted, as Prometheus reads it."""
        return (await self._call(METRICS_CALL, time.monotonic())).body.decode("utf-8", "replace")

    async def close(self) -> None:
        """Close every connection."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _send_act(self, observation: Observation) -> ActResult:
        started_s = time.monotonic()
        # A thread, because encoding raw pixels takes milliseconds that the event loop does not have.
        call = await asyncio.to_thread(act_call, observation)
        answer = await self._call(call, started_s, observation.deadline_s)
        return parse_act_result(answer.body, observation.request_id)

    async def _send_rest(self, rest: Rest) -> CorrectResult:
        started_s = time.monotonic()
        answer = await self._call(correct_call(rest), started_s, rest.deadline_s)
        return parse_correct_result(answer.body, rest.request_id, len(rest.actions))

    async def _call(self, call: Call, started_s: float, deadline_s: float | None = None) -> Answer:
        budget_s = self._deadline_s if deadline_s is None else checked_deadline_s(deadline_s)
        plan = CallPlan(call, started_s=started_s, deadline_s=budget_s, clock=time.monotonic)
        return await self._connection.answer(plan)


class AsyncEpisode(Acting[ActCoroutine, CorrectCoroutine]):
    """One run of a task: its id keeps every `act` on one policy, together with what the server carries over."""

    def __init__(self, client: AsyncReflexClient, episode_id: str, instruction: str | None) -> None:
        self._client = client
        self.episode_id = episode_id
        self.instruction = instruction

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Nothing to release: the server forgets an idle episode by itself."""

    def _send_act(self, observation: Observation) -> ActCoroutine:
        return self._client._send_act(observation.in_episode(self.episode_id, self.instruction))

    def _send_rest(self, rest: Rest) -> CorrectCoroutine:
        return self._client._send_rest(replace(rest, episode_id=self.episode_id))
