"""A small HTTP/1.1 client for load: raw asyncio sockets, keep-alive, bodies made beforehand, every answer timed.

It shares the machine with the server it loads, so it measures its own lateness too: `Answer.lag_s` is how late this
process's event loop was while the call ran, which is no fault of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar, cast

import orjson
import uvloop

from support.nonce import act_body, is_right

__all__ = ["Answer", "LoadClient", "closed_loop", "open_loop", "pause", "percentile", "run", "under_load"]

ANSWER_TIMEOUT_S: Final = 60.0
PATIENT_MS: Final = 10_000.0
"""The longest deadline that is taken: how busy the machine is decides no answer."""
PAUSE_S: Final = 0.02
LAG_TICK_S: Final = 0.002
KEPT_LAGS: Final = 60_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; times are of `time.monotonic`."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_at: float
    ended_at: float
    lag_s: float = 0.0
    nonce: float | None = None

    @property
    def took_s(self) -> float:
        return self.ended_at - self.sent_at

    @property
    def server_s(self) -> float:
        """What is left of `took_s` without this process's own lateness."""
        return max(0.0, self.took_s - self.lag_s)

    @property
    def code(self) -> str:
        """`error` of the envelope; empty for a 200."""
        return "" if self.status == 200 else str(orjson.loads(self.body)["error"])

    @property
    def is_right(self) -> bool:
        """A 200 with the chunk for this very request."""
        return self.status == 200 and self.nonce is not None and is_right(self.body, self.nonce)

    def __str__(self) -> str:
        said = "" if self.status == 200 else f" {self.body.decode(errors='replace')}"
        return f"{self.status} after {self.took_s * 1000:.0f} ms (own lag {self.lag_s * 1000:.0f} ms){said}"


class _Connection(asyncio.Protocol):
    """One request at a time; a broken connection raises `ConnectionError` in whoever waits."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiter: asyncio.Future[tuple[int, Mapping[str, str], bytes, float]] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> tuple[int, Mapping[str, str], bytes, float]:
        assert self._transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiter

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's class is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        status_line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        whole = end + 4 + int(headers.get("content-length", "0"))
        if len(self._buffer) < whole:
            return
        body = bytes(self._buffer[end + 4 : whole])
        del self._buffer[:whole]
        if headers.get("connection", "").lower() == "close" and self._transport is not None:
            self._transport.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result((int(status_line.split(" ", 2)[1]), headers, body, time.monotonic()))

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError("the server closed the connection without an answer"))


@dataclass
class LoadClient:
    """Connections to one server on loopback; as many as are in use at once, kept for the next call."""

    port: int
    _idle: deque[_Connection] = field(default_factory=deque)
    _lags: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT_LAGS))
    _nonces: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lag_probe: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._lag_probe = asyncio.create_task(self._measure_lag())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._lag_probe is not None:
            self._lag_probe.cancel()
        self.drop_idle()
        await asyncio.sleep(0)

    def next_nonce(self) -> float:
        """Never the same twice, and exact in 32 bits."""
        return float(next(self._nonces) % 2**22) / 4

    @property
    def idle_connections(self) -> int:
        """Connections that are open and wait for the next call."""
        return sum(connection.is_open for connection in self._idle)

    def drop_idle(self) -> None:
        """Close the connections that no call uses."""
        while self._idle:
            self._idle.pop().close()

    async def act(self, *, deadline_ms: float = PATIENT_MS, image_size: int = 64, **fields: object) -> Answer:
        """One request of the nonce policy with a nonce of its own."""
        nonce = self.next_nonce()
        headers = {"X-Reflex-Deadline-Ms": f"{deadline_ms:g}"}
        return await self.post(act_body(nonce, image_size=image_size, **fields), headers, nonce=nonce)

    async def post(
        self, body: bytes, headers: Mapping[str, str] | None = None, *, nonce: float | None = None
    ) -> Answer:
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = "POST /act HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        return await self._call(f"{head}Content-Length: {len(body)}\r\n{lines}\r\n".encode() + body, nonce)

    async def get(self, path: str) -> Answer:
        return await self._call(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), None)

    async def _call(self, request: bytes, nonce: float | None) -> Answer:
        connection = await self._connection()
        sent_at = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                status, headers, body, ended_at = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.is_open:
            self._idle.append(connection)
        return Answer(status, headers, body, sent_at, ended_at, self._lag_between(sent_at, ended_at), nonce)

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, "127.0.0.1", self.port)
        return connection

    async def _measure_lag(self) -> None:
        while True:
            due = time.monotonic() + LAG_TICK_S
            await asyncio.sleep(LAG_TICK_S)
            woke = time.monotonic()
            self._lags.append((woke, woke - due))

    def _lag_between(self, start: float, end: float) -> float:
        """The worst lateness of the loop at any moment of the call, the one under way included."""
        last_woke = self._lags[-1][0] if self._lags else end
        worst = max(0.0, end - last_woke - LAG_TICK_S)
        for woke, lag in reversed(self._lags):
            if woke < start:
                break
            worst = max(worst, lag)
        return worst


async def closed_loop(clients: int, seconds: float, call: Callable[[], Awaitable[T]]) -> list[T]:
    """`clients` callers, each calling again as soon as it is answered."""
    until = time.monotonic() + seconds

    async def caller() -> list[T]:
        answers = []
        while time.monotonic() < until:
            answers.append(await call())
        return answers

    return [answer for own in await asyncio.gather(*(caller() for _ in range(clients))) for answer in own]


async def open_loop(rate_hz: float, seconds: float, call: Callable[[], Coroutine[Any, Any, T]]) -> list[T]:
    """Calls at a fixed rate, whether or not earlier ones were answered; all answers, in the order of the calls."""
    started = time.monotonic()
    calls: list[asyncio.Task[T]] = []
    while (elapsed := time.monotonic() - started) < seconds:
        calls += [asyncio.create_task(call()) for _ in range(int(elapsed * rate_hz) - len(calls))]
        await asyncio.sleep(0.002)
    return await asyncio.gather(*calls)


@contextlib.asynccontextmanager
async def under_load(clients: int, call: Callable[[], Awaitable[T]]) -> AsyncIterator[list[T]]:
    """While the block runs, `clients` callers call again and again; the list grows with their answers."""
    answers: list[T] = []
    is_over = asyncio.Event()

    async def caller() -> None:
        while not is_over.is_set():
            answers.append(await call())

    async with asyncio.TaskGroup() as callers:
        for _ in range(clients):
            callers.create_task(caller())
        try:
            yield answers
        finally:
            is_over.set()


async def pause() -> None:
    """Between two requests of a robot that does not ask at once again."""
    await asyncio.sleep(PAUSE_S)


@contextlib.asynccontextmanager
async def in_background(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """`work` runs while the block does, and is cancelled if the block fails."""
    task = asyncio.create_task(work)
    try:
        yield task
    except BaseException:
        task.cancel()
        raise
    await task


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0..1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario on the loop that costs the least."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scenario)
