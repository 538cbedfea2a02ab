"""A load client that costs as little as Python allows, so that the server is what is measured.

One socket per connection, requests prebuilt as bytes, answers cut out by Content-Length. Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self, cast

__all__ = ["Answer", "Asker", "Connection", "connect", "http_request"]

HEADER_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length: "


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `latency_s` from handing over the request to the last byte of the answer."""

    status: int
    head: bytes
    body: bytes
    latency_s: float

    def json(self) -> object:
        return json.loads(self.body)


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._on_answer: Callable[[Answer | None], None] | None = None
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not derive from asyncio's

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio.Protocol
        self._finish(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(HEADER_END)
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        at = head.index(LENGTH) + len(LENGTH)
        line_end = head.find(b"\r\n", at)
        total = end + len(HEADER_END) + int(head[at : line_end if line_end > 0 else None])
        if len(self._buffer) < total:
            return
        body = bytes(self._buffer[end + len(HEADER_END) : total])
        del self._buffer[:total]
        self._finish(Answer(int(head[9:12]), head, body, time.perf_counter() - self._sent_at))

    def _finish(self, answer: Answer | None) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(answer)

    def post(self, request: bytes, on_answer: Callable[[Answer | None], None]) -> None:
        """Send one prebuilt request; `on_answer` gets its answer, or None when the server hangs up."""
        assert self._transport is not None
        assert self._on_answer is None, "one request at a time"
        self._on_answer = on_answer
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    async def send(self, request: bytes) -> Answer:
        """Send one prebuilt request and wait for its answer; `ConnectionResetError` when the server hangs up."""
        if not self.is_open:
            raise ConnectionResetError("the connection is closed")
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

        def on_answer(answer: Answer | None) -> None:
            if not answered.done():
                answered.set_result(answer)

        self.post(request, on_answer)
        answer = await answered
        if answer is None:
            raise ConnectionResetError("the server closed the connection")
        return answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Asker:
    """One request at a time, over a connection that is opened again where the server has closed it.

    It closes what stays silent for some seconds, as a client does that waits for its turn on a slow machine.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Connection | None = None

    @classmethod
    async def connected(cls, port: int) -> Self:
        """With its connection open: the first request does not wait for that."""
        asker = cls(port)
        asker._connection = await connect(port)
        return asker

    async def send(self, request: bytes) -> Answer:
        """As `Connection.send`; `OSError` where the server cannot be reached. To connect again takes its time, too."""
        began = time.perf_counter()
        if self._connection is not None and self._connection.is_open:
            return await self._connection.send(request)
        self._connection = await connect(self._port)
        answer = await self._connection.send(request)
        return replace(answer, latency_s=time.perf_counter() - began)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


async def connect(port: int) -> Connection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection


def http_request(method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
    lines += [f"content-length: {len(body)}"] if body else []
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + HEADER_END + body
