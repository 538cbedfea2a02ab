"""`WS /act/stream`: observations in, chunks out, the newest first. Each observation gets exactly one answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reflex.errors import DeadlineExceededError, ServiceError, UnauthorizedError, service_error
from reflex.wire import AUTHORIZATION_HEADER, MAX_DEADLINE_MS, raw_name
from reflex.wire.stream import CLOSE_GOING_AWAY, CLOSE_NOT_ALLOWED, CLOSE_UNREADABLE, SUPERSEDED, ReadyFrame
from reflex_frontend.act.act import ActService
from reflex_frontend.callers.presented import secrets_in
from reflex_frontend.errors import ClientGoneError
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.exchange.routing import Routing
from reflex_frontend.observation.packed import parse_unpacked
from reflex_frontend.observation.request import ActRequest, deadline_ms_of, refuse
from reflex_frontend.streams.act_frames import (
    AnyFrame,
    Defaults,
    Frame,
    chunk_frame,
    error_frame,
    read_frame,
    seq_of,
    write_frame,
)
from reflex_frontend.streams.answering import answer_observation
from reflex_frontend.streams.connection import DRAINING, INTERNAL_ERROR, TRY_AGAIN_LATER, Connection, close_code
from reflex_frontend.streams.newest_wins import NewestWins, Pending

__all__ = ["ActStream"]

QUICK_FRAME_BYTES: Final = 256 * 1024
"""Up to here a frame is read in well under a millisecond; longer ones are read off the event loop."""
MAX_KEY_CHARACTERS: Final = 8 * 1024
LOOK_EVERY_S: Final = 0.25
"""How often a stream looks whether its caller may go on, and whether the server is being stopped."""
TIMERS_ARE_EARLY_S: Final = 0.001
"""At most, by the resolution of the loop's clock."""
AUTHORIZATION: Final = raw_name(AUTHORIZATION_HEADER)

log = logging.getLogger("reflex.streams")


@dataclass(frozen=True, slots=True)
class Observation:
    """One that was read, and how it is answered."""

    frame: Frame
    data: bytes | str
    fields: Mapping[str, Any]
    exchange: Exchange

    def parsed(self) -> tuple[ActRequest, bytes | str]:
        """The request, and what it came in."""
        return parse_unpacked(self.fields), self.data


@dataclass(frozen=True)
class ActStream:
    """Speaks with the clients of `/act/stream`."""

    service: ActService

    async def __call__(self, connection: Connection) -> None:
        """Until one of both ends it."""
        course = _Course(self.service, connection)
        metrics = self.service.metrics
        metrics.streams_open.inc()
        self.service.instance.streams += 1
        try:
            await course.run()
        finally:
            self.service.instance.streams -= 1
            metrics.streams_open.dec()
            for _ in range(course.queue.leave()):
                metrics.count_observation("abandoned")


class _Course:
    """One connection: one task reads, one answers, one looks whether it may go on."""

    def __init__(self, service: ActService, connection: Connection) -> None:
        self._service = service
        self._connection = connection
        self.queue: NewestWins[Observation] = NewestWins()
        self._defaults = Defaults()
        self._headers = connection.headers
        self._held_bytes = 0
        self._has_ended = False
        self._beside: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the client is gone; what is being answered then is waited for, so that its place is given back."""
        if not await self._is_served():
            return
        await self._send(self._ready({}), is_text=False)
        watching = self._start(self._watch)
        try:
            await self._read_all()
        finally:
            watching.cancel()
            self._has_ended = True
            try:
                if self._beside:  # the watch may have ended the stream, and itself, already
                    await asyncio.wait(self._beside)
            finally:
                self._hold(0)

    def _start(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> asyncio.Task[None]:
        task = asyncio.create_task(self._ending_together(work, *arguments))
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task

    async def _ending_together(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        """A bug in one task must end the stream, and not leave a client without answers."""
        try:
            await work(*arguments)
        except ClientGoneError:
            pass
        except Exception:
            log.exception("stream failed")
            await self._close(INTERNAL_ERROR, "the server failed on this stream; it has been logged")

    async def _is_served(self) -> bool:
        """Whether any policy answers now; otherwise the client is told when to come back."""
        refusals = []
        for slot in self._service.router.slots.values():
            try:
                slot.loaded.vitals.admit()
            except ServiceError as exc:
                refusals.append(exc)
            else:
                return True
        await self._close(close_code(refusals[0]), str(refusals[0]))
        return False

    async def _read_all(self) -> None:
        while True:
            data = await self._connection.receive()
            received_at = self._service.now()
            try:
                # What its own deadline is stands in the frame; until that is read, the longest there is.
                frame = await self._off_loop(data, received_at + MAX_DEADLINE_MS / 1000.0, read_frame, data)
            except DeadlineExceededError as exc:
                await self._send(error_frame(exc, None), is_text=isinstance(data, str))
                await self._close(TRY_AGAIN_LATER, str(exc))
                continue
            except ServiceError as exc:
                await self._send(error_frame(exc, None), is_text=isinstance(data, str))
                await self._close(CLOSE_UNREADABLE, str(exc))
                continue
            await self._take(frame, data, received_at)
            await asyncio.sleep(0)  # one message of each client in turn, however many a client has sent at once

    async def _off_loop(self, data: bytes | str, deadline: float, read: Any, *arguments: object) -> Any:  # noqa: ANN401 - what `read` gives
        if len(data) <= QUICK_FRAME_BYTES:
            return read(*arguments)
        return await self._service.workers.run(deadline, read, *arguments)

    async def _take(self, frame: Frame, data: bytes | str, received_at: float) -> None:
        seq = None
        try:
            if frame.kind == "hello":
                defaults = Defaults.of(frame)
                await self._show_key(frame)
                self._defaults = defaults
                await self._send(self._ready(frame.fields), is_text=frame.is_text)
                return
            if frame.kind != "observation":
                raise refuse("wrong_type", "type must be hello or observation", field="type")
            seq = seq_of(frame, self.queue.last_seq)
            self.queue.last_seq = seq
            await self._offer(seq, frame, data, received_at)
        except ServiceError as exc:
            await self._say(exc, seq, frame)

    async def _say(self, error: ServiceError, seq: int | None, frame: Frame) -> None:
        """Why a frame was not taken."""
        self._count(error)
        await self._send(error_frame(error, seq), is_text=frame.is_text)
        if isinstance(error, UnauthorizedError):
            await self._close(CLOSE_NOT_ALLOWED, str(error))

    async def _offer(self, seq: int, frame: Frame, data: bytes | str, received_at: float) -> None:
        exchange = Exchange.begin(received_at, deadline_ms_of(frame.fields, self._defaults.deadline_ms))
        observation = Observation(frame, data, self._defaults.under(frame), exchange)
        running = self.queue.running
        if not self._hold(len(data) + (0 if running is None else len(running.what.data))):
            raise self._service.router.refusal()
        superseded = self.queue.offer(Pending(seq, exchange.deadline, observation))
        begun = self.queue.begin()
        if begun is not None:
            self._start(self._answer_from, begun)
        else:
            asyncio.get_running_loop().call_later(exchange.deadline - self._service.now(), self._drop_late)
        if superseded is not None:
            await self._refuse(superseded, service_error(
                SUPERSEDED, "a newer observation came before this one was begun", context={"by": seq}
            ))  # fmt: skip

    def _hold(self, size: int) -> bool:
        """Whether there is room for so many bytes of this stream among the unanswered bodies of all."""
        has_room = self._service.bodies.hold(size, instead_of=self._held_bytes)
        if has_room:
            self._held_bytes = size
        return has_room

    async def _show_key(self, hello: Frame) -> None:
        """A key that was renewed stands in for the one that the stream was opened with."""
        key = hello.fields.get("api_key")
        if key is None:
            return
        if not isinstance(key, str) or not key.isascii() or len(key) > MAX_KEY_CHARACTERS:
            raise refuse("wrong_type", "api_key must be a key or a session's credential", field="api_key")
        others = [header for header in self._headers if not secrets_in([header])]
        headers = [*others, (AUTHORIZATION, b"Bearer " + key.encode())]
        await self._service.check_stream(headers)
        self._headers = headers

    def _drop_late(self) -> None:
        late = self.queue.late(self._service.now() + TIMERS_ARE_EARLY_S)
        if late is not None:
            self._hold_what_is_left()
            error = DeadlineExceededError("deadline_exceeded", "the deadline passed before this one could be begun")
            self._start(self._refuse, late, error)

    async def _answer_from(self, begun: Pending[Observation]) -> None:
        """This one, then whatever waits when it is answered."""
        pending: Pending[Observation] | None = begun
        while pending is not None:
            await self._answer(pending)
            pending = None if self._has_ended else self.queue.begin()

    async def _answer(self, pending: Pending[Observation]) -> None:
        observation = pending.what
        exchange = observation.exchange
        try:
            result = await answer_observation(self._service, self._headers, exchange, self._parse(pending))
        except ServiceError as exc:
            if not self._has_ended:
                self._is_done()
                await self._refuse(pending, exc)
            return
        if self._has_ended:
            return
        self._is_done()
        self._service.metrics.count_observation("chunk")
        frame = chunk_frame(pending.seq, result, self._routed(exchange.routing))
        await self._send(frame, is_text=observation.frame.is_text)

    def _is_done(self) -> None:
        self.queue.done()
        self._hold_what_is_left()

    def _hold_what_is_left(self) -> None:
        left = (pending for pending in (self.queue.running, self.queue.waiting) if pending is not None)
        self._hold(sum(len(pending.what.data) for pending in left))

    def _parse(self, pending: Pending[Observation]) -> Any:  # noqa: ANN401 - `answering.Parse`
        observation = pending.what

        async def parse(_exchange: Exchange) -> tuple[ActRequest, bytes | str]:
            parsed: tuple[ActRequest, bytes | str] = await self._off_loop(
                observation.data, observation.exchange.deadline, observation.parsed
            )
            return parsed

        return parse

    async def _refuse(self, pending: Pending[Observation], error: ServiceError) -> None:
        self._count(error)
        observation = pending.what
        routed = self._routed(observation.exchange.routing)
        await self._send(error_frame(error, pending.seq, routed), is_text=observation.frame.is_text)
        if isinstance(error, UnauthorizedError):
            await self._close(CLOSE_NOT_ALLOWED, str(error))

    async def _watch(self) -> None:
        """End the stream of a caller whose key or session is gone, and all of them when the server is stopped."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._service.instance.is_draining and self.queue.is_idle:
                await self._close(CLOSE_GOING_AWAY, DRAINING)
                return
            try:
                await self._service.check_stream(self._headers)
            except UnauthorizedError as exc:
                await self._close(CLOSE_NOT_ALLOWED, str(exc))
                return
            except ServiceError:
                continue  # a control plane that is away ends nobody's stream

    def _ready(self, hello: Mapping[str, Any]) -> ReadyFrame:
        router = self._service.router
        episode_id = hello.get("episode_id")
        routing = router.route(episode_id) if isinstance(episode_id, str) else None
        policy = (routing.loaded if routing else router.first.loaded).policy
        ready: ReadyFrame = {
            "type": "ready",
            "model_version": policy.config.model_version,
            "embodiment": policy.config.embodiment,
            "control_hz": policy.embodiment.control_hz,
            "cameras": [camera.name for camera in policy.config.cameras],
            "state_dim": policy.config.state_dim,
            "num_actions": policy.config.horizon,
            "action_dim": policy.config.action_dim,
            "deadline_ms": self._defaults.deadline_ms,
        }
        if hello:
            ready["episode_id"] = episode_id
        if self._service.robot_id is not None:
            ready["robot_id"] = self._service.robot_id
        return {**ready, **self._routed(routing)}  # type: ignore[typeddict-item]  # fields of the same type

    def _routed(self, routing: Routing | None) -> dict[str, Any]:
        """What two-policy mode says in headers over HTTP."""
        if routing is None or not self._service.router.has_two:
            return {}
        return {
            "policy_slot": routing.slot.name,
            "model_version": routing.loaded.policy.config.model_version,
            "routing_key": routing.key or "",
            "routing_degraded": routing.is_degraded,
        }

    def _count(self, error: ServiceError) -> None:
        outcome = {SUPERSEDED: "superseded", "deadline_exceeded": "late"}.get(error.code, "refused")
        self._service.metrics.count_observation(outcome)

    async def _send(self, frame: AnyFrame, *, is_text: bool) -> None:
        await self._connection.send(write_frame(frame, is_text=is_text))

    async def _close(self, code: int, reason: str) -> None:
        await self._connection.close(code, reason)
