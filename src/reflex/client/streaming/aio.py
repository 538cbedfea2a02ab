"""`AsyncActionStream`: the same thin driver, awaiting, with one task that reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed

from reflex.client.acting import continuation
from reflex.client.images import ImageInput
from reflex.client.streaming.failures import closed_error
from reflex.client.streaming.frames import encode_hello, encode_observation, observed, read_frame, told
from reflex.client.streaming.links import AsyncLink, open_async_link
from reflex.client.streaming.stream import Streaming, not_open
from reflex.errors import ServiceError, TransportError

__all__ = ["AsyncActionStream"]


class AsyncActionStream(Streaming):
    __doc__ = Streaming.__doc__

    _link: AsyncLink | None = None
    _reader: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """`ActionStream.open`."""
        async with self._sending:
            if self._link is None:
                await self._connect(is_first=True)

    async def close(self) -> None:
        """Say good-bye. Who waits in `recv_action` gets a `TransportError`."""
        async with self._sending:
            link, self._link = self._link, None
            if link is not None:
                self._lose(TransportError("the stream was closed"))
                await link.connection.close()
                await self._join()

    async def send_observation(
        self,
        *,
        state: Iterable[float],
        images: Mapping[str, ImageInput] | ImageInput | None = None,
        executed_steps: int | None = None,
        inference_delay_steps: int | None = None,
        prev_actions: Iterable[Iterable[float]] | None = None,
        instruction: str | None = None,
    ) -> int:
        """`ActionStream.send_observation`; images are encoded in a thread."""
        known = continuation(executed_steps, inference_delay_steps, prev_actions)
        fields = await asyncio.to_thread(observed, state, images, self._options.cameras) | known | told(instruction)
        async with self._sending:
            link = await self._open_link()
            seq = self._course.begin()
            try:
                frame = encode_observation(seq, fields)
                async with asyncio.timeout(self._options.deadline_s):
                    await self._renew(link)
                    await link.connection.send(frame)
            except ConnectionClosed as exc:
                raise self._lose(closed_error(exc)) from exc
            except TimeoutError as exc:
                raise self._lose(TransportError("the server does not read; the connection was dropped")) from exc
            except ServiceError:
                self._course.withdraw(seq)
                raise
        return seq

    async def recv_action(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - the twin's own
        """`ActionStream.recv_action`."""
        timeout_s = self._options.timeout_s if timeout is None else timeout
        ends_s = time.monotonic() + timeout_s
        if self._link is None and self._course.broken is None:
            raise not_open()
        while (chunk := self._course.take()) is None:
            left_s = ends_s - time.monotonic()
            if left_s <= 0:
                raise self._course.timed_out(timeout_s)
            await self._change(min(left_s, max(0.0, self._course.wakes_at() - time.monotonic())))
        return self._adapted(chunk)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    def _set_up(self) -> None:
        self._sending = asyncio.Lock()
        self._changed = asyncio.Event()

    async def _change(self, within_s: float) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _open_link(self) -> AsyncLink:
        """The connection, or a new one where it was lost."""
        if self._link is None:
            raise not_open()
        if self._course.broken is not None:
            self._link.drop()
            await self._join()
            await self._connect(is_first=False)
        return self._link

    async def _renew(self, link: AsyncLink) -> None:
        renewal = self._options.renewal(link.key)
        if renewal is not None:
            await link.connection.send(encode_hello(renewal))
            link.key = renewal["api_key"]

    async def _connect(self, *, is_first: bool) -> None:
        plan = self._plan(is_first=is_first)
        while True:
            try:
                link = await open_async_link(self._options, plan.attempt_s())
                break
            except (ServiceError, TransportError) as exc:
                await asyncio.sleep(plan.on_refused(exc))
        self._course.on_opened(link.ready, link.open_timing)
        self._link = link
        self._reader = asyncio.create_task(self._read(link), name="reflex-stream")

    async def _read(self, link: AsyncLink) -> None:
        """Until the connection ends: what comes is taken at once, so that the server never waits for a slow program."""
        while self._course.broken is None:
            try:
                async with asyncio.timeout(max(0.0, self._course.wakes_at() - time.monotonic())):
                    data = await link.connection.recv()
            except TimeoutError:
                data = None
            except ConnectionClosed as exc:
                self._lose(closed_error(exc))
                return
            await self._take_in(link, data)
        link.drop()

    async def _take_in(self, link: AsyncLink, data: bytes | str | None) -> None:
        try:
            if data is not None:
                self._course.on_frame(read_frame(data))
            if self._course.tick():
                self._course.pinged(_has_pong(await link.connection.ping()))
        except ConnectionClosed as exc:
            self._lose(closed_error(exc))
        except TransportError as exc:
            self._lose(exc)
        self._changed.set()

    def _lose(self, error: TransportError) -> TransportError:
        self._course.on_closed(error)
        self._changed.set()
        return error

    async def _join(self) -> None:
        if self._reader is not None:
            await asyncio.wait([self._reader])


def _has_pong(waiter: Awaitable[float]) -> Callable[[], bool]:
    future = asyncio.ensure_future(waiter)
    return lambda: future.done() and not future.cancelled() and future.exception() is None
