"""The gRPC connection to Triton, made at the first call and again by itself, and the calls of its service by name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from reflex_frontend.triton.http2.connection import Connection
from reflex_frontend.triton.http2.fields import request_fields
from reflex_frontend.triton.http2.status import call_error
from reflex_frontend.triton.http2.stream import MAX_MESSAGE_BYTES, Stream

__all__ = ["SERVICE", "Channel", "service_call"]

SERVICE: Final = "/inference.GRPCInferenceService/"
CONNECT_S: Final = 5.0
"""A busy Triton is not there at once; a call waits for it no longer than for anything else, until its own deadline."""

CLOSED: Final = "the connection to Triton is closed"
ATTEMPTS: Final = 3
"""A call for which the other side has done nothing is begun anew so often, as by gRPC's own client: where a server
says good-bye, or refuses it."""

Call = Callable[..., Coroutine[Any, Any, Any]]


class Channel:
    """Calls of the server at one address: over one connection, made at the first call, and again when it is gone."""

    def __init__(self, address: str) -> None:
        self.address = address
        """`host:port` or `unix:/path`."""
        self._authority = "localhost" if address.startswith("unix:") else address
        self._connections: list[Connection] = []
        """The last takes the calls; those before it end what they have begun."""
        self._connecting: asyncio.Task[Connection] | None = None
        self._is_closed = False

    async def call(
        self, path: str, message: bytes, *, timeout_s: float | None, metadata: tuple[tuple[str, str], ...] = ()
    ) -> bytes:
        """The answer's message; `AioRpcError` as from gRPC's own client, CANCELLED after `close`."""
        if timeout_s is not None and timeout_s <= 0:
            raise _late()
        ends_s = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        head = request_fields(self._authority, path, timeout_s, metadata)
        if len(message) > MAX_MESSAGE_BYTES:
            raise call_error(grpc.StatusCode.RESOURCE_EXHAUSTED, f"a request of {len(message):,} bytes")
        for left in reversed(range(ATTEMPTS)):
            connection = self._open_connection() or await self._connected(ends_s)
            stream = connection.start(head, message)
            try:
                return await _answer(connection, stream, ends_s)
            except grpc.aio.AioRpcError:
                if not (left and stream.is_untouched):
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        """Ends every call; the connection is gone when this returns."""
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        for connection in self._connections:
            connection.abort(grpc.StatusCode.CANCELLED, CLOSED)
            await connection.closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open_connection(self) -> Connection | None:
        if self._is_closed:
            raise _closed()
        return self._connections[-1] if self._connections and self._connections[-1].takes_calls else None

    async def _connected(self, ends_s: float | None) -> Connection:
        """One attempt, however many calls need it; each gives up by itself."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._note_attempt)
        attempt = self._connecting
        left_s = None if ends_s is None else max(0.0, ends_s - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait((attempt,), timeout=left_s)
        if not done:
            raise _late()
        if attempt.cancelled():
            raise _closed()
        error = attempt.exception()
        if error is not None:  # to each its own: an error holds the frames that it went through
            raise call_error(grpc.StatusCode.UNAVAILABLE, str(error))
        return attempt.result()

    def _note_attempt(self, attempt: asyncio.Task[Connection]) -> None:
        self._connecting = None
        if not attempt.cancelled():
            attempt.exception()  # seen, also where nobody waits for it any more

    async def _connect(self) -> Connection:
        self._connections = [connection for connection in self._connections if not connection.closed.done()]
        try:
            async with asyncio.timeout(CONNECT_S):
                connection = await self._to_first_that_answers()
        except (OSError, ValueError) as exc:  # a time-out, too
            reason = str(exc) or f"no connection within {CONNECT_S:g} s"
            raise OSError(f"cannot connect to {self.address}: {reason}") from None
        return connection

    async def _to_first_that_answers(self) -> Connection:
        """A name may have several addresses: each has its share of the time, so that one that swallows what it is sent,
        or is no Triton, does not hide the others."""
        loop = asyncio.get_running_loop()
        if self.address.startswith("unix:"):
            path = self.address.removeprefix("unix:")
            return await self._greeted(loop.create_unix_connection(self._new, path))
        name, _, port = self.address.rpartition(":")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
            raise ValueError(f"{port!r} is no port")
        found = await loop.getaddrinfo(name.strip("[]"), int(port), type=socket.SOCK_STREAM)
        places = list(dict.fromkeys(_host_and_port(place) for *_, place in found))
        for number, (host, at) in enumerate(places, start=1):
            try:
                async with asyncio.timeout(CONNECT_S / len(places)):
                    return await self._greeted(loop.create_connection(self._new, host, at))
            except OSError:
                if number == len(places):
                    raise
        raise OSError("the name has no address")

    def _new(self) -> Connection:
        return Connection(self.address)

    async def _greeted(self, connecting: Coroutine[Any, Any, tuple[Any, Connection]]) -> Connection:
        _, connection = await connecting
        self._connections.append(connection)  # whatever becomes of it, it is closed with the channel
        try:
            await asyncio.shield(connection.greeted)
        except asyncio.CancelledError:
            connection.abort(grpc.StatusCode.UNAVAILABLE, f"{self.address} does not say that it is a server of HTTP/2")
            raise
        return connection


def _host_and_port(place: tuple[Any, ...]) -> tuple[str, int]:
    """Of an address as the resolver gives it; one of a link alone has its interface's number, too."""
    host, port, *more = place
    scope = more[1] if len(more) > 1 else 0
    return (f"{host}%{scope}" if scope and "%" not in host else str(host)), int(port)


async def _answer(connection: Connection, stream: Stream, ends_s: float | None) -> bytes:
    timer = None if ends_s is None else asyncio.get_running_loop().call_at(ends_s, _expire, stream)
    try:
        return await stream.answer
    finally:
        if timer is not None:
            timer.cancel()
        connection.drop(stream)


def _closed() -> grpc.aio.AioRpcError:
    return call_error(grpc.StatusCode.CANCELLED, CLOSED)


def _expire(stream: Stream) -> None:
    stream.fail(_late())


def _late() -> grpc.aio.AioRpcError:
    return call_error(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time")


def service_call(channel: Channel, name: str, *, takes_bytes: bool = False) -> Call:
    """The call `name`, from its `<name>Request`, or that message's bytes, to its `<name>Response`."""
    request, response = getattr(service_pb2, f"{name}Request"), getattr(service_pb2, f"{name}Response")
    serialised = bytes if takes_bytes else request.SerializeToString
    path = SERVICE + name

    async def call(message: Any, *, timeout: float | None = None, metadata: tuple[tuple[str, str], ...] = ()) -> Any:  # noqa: ANN401, ASYNC109 - gRPC's
        answer = await channel.call(path, serialised(message), timeout_s=timeout, metadata=metadata)
        try:
            return response.FromString(answer)
        except DecodeError as exc:
            raise call_error(grpc.StatusCode.INTERNAL, f"an answer that is no {name}Response: {exc}") from None

    return call
