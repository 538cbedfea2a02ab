"""A transport whose timeout is the total of a request: connect, TLS, every write and every read together.

httpx gives each phase, and each read within it, the whole timeout again, so a server that drips one byte at a time
holds a synchronous call for ever. Here the timeout becomes one moment on the monotonic clock, and each socket operation
gets what is left until then. (The asyncio client needs none of this: `asyncio.timeout` cancels whatever is under way.)

A name that does not resolve is the one wait that no socket timeout bounds; use an address where that matters.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

__all__ = ["DeadlineTransport"]

Addresses = Callable[[str, int], list[str]]


class DeadlineTransport(httpx.BaseTransport):
    """HTTP/1.1 over pooled connections, without proxies. The answer can be read until the request's read timeout.

    `addresses` gives those of a host and a port, instead of the system.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, addresses: Addresses | None = None) -> None:
        self._open = _OpenStreams()
        backend = _DeadlineBackend(addresses or _addresses, self._open)
        self._pool = httpcore.ConnectionPool(ssl_context=ssl_context, network_backend=backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send. `httpx.TimeoutException` at the deadline, also of reading the answer; the connection is then closed."""
        timeout_s = request.extensions["timeout"]["read"]
        ends_s = time.monotonic() + timeout_s
        # The pool waits by itself, in seconds; every other phase reaches `_DeadlineStream`, which takes the moment.
        timeouts = {"pool": timeout_s, "connect": ends_s, "write": ends_s, "read": ends_s}
        with _as_httpx_errors():
            response = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.read(),
                    extensions={"timeout": timeouts},
                )
            )
        return httpx.Response(response.status, headers=response.headers, stream=_Incoming(response))

    def close(self) -> None:
        """Close every connection, also one that another thread is opening just now, which the pool does not know."""
        self._pool.close()
        self._open.close()


class _Incoming(httpx.SyncByteStream):
    """The body as it comes, so that who reads can stop."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx_errors():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _OpenStreams:
    """The streams of one transport; may be used by threads. Once closed, it takes none any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: weakref.WeakSet[httpcore.NetworkStream] = weakref.WeakSet()
        self._is_closed = False

    def kept(self, stream: httpcore.NetworkStream) -> httpcore.NetworkStream:
        """The same; `httpcore.ConnectError` after it is closed, where everything is."""
        with self._lock:
            if not self._is_closed:
                self._streams.add(stream)
                return stream
        stream.close()
        raise httpcore.ConnectError("the client was closed meanwhile")

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            streams = list(self._streams)
        for stream in streams:
            stream.close()


class _DeadlineBackend(httpcore.SyncBackend):
    """Opens connections whose every `timeout` is a moment on the monotonic clock."""

    def __init__(self, addresses: Addresses, streams: _OpenStreams) -> None:
        self._addresses, self._streams = addresses, streams

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        error: httpcore.ConnectError | None = None
        # One address at a time: the default tries them all, and gives each the whole timeout.
        for address in self._addresses(host, port):
            left_s = _left_s(timeout, httpcore.ConnectTimeout)
            try:
                stream = super().connect_tcp(address, port, left_s, local_address, socket_options)
            except httpcore.ConnectError as exc:
                error = exc
            else:
                return self._streams.kept(_DeadlineStream(stream, self._streams))
        raise error or httpcore.ConnectError(f"{host} has no address")


class _DeadlineStream(httpcore.NetworkStream):
    """One connection; `timeout` of each operation is the moment at which it must have ended."""

    def __init__(self, stream: httpcore.NetworkStream, streams: _OpenStreams) -> None:
        self._stream, self._streams = stream, streams

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left_s(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Not the stream's own write: its loop gives each part the whole timeout, and a slow reader makes many parts.
        connection: socket.socket = self._stream.get_extra_info("socket")
        unsent = memoryview(buffer)
        while unsent:
            connection.settimeout(_left_s(timeout, httpcore.WriteTimeout))
            try:
                unsent = unsent[connection.send(unsent) :]
            except TimeoutError as exc:
                raise httpcore.WriteTimeout(exc) from exc
            except OSError as exc:
                raise httpcore.WriteError(exc) from exc

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        secured = self._stream.start_tls(ssl_context, server_hostname, left_s)
        return self._streams.kept(_DeadlineStream(secured, self._streams))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # httpcore's own signature
        return self._stream.get_extra_info(info)


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise httpcore.ConnectError(f"the name {host} does not resolve: {exc}") from exc
    return [str(sockaddr[0]) for *_, sockaddr in found]


def _left_s(ends_s: float | None, timed_out: type[httpcore.TimeoutException]) -> float | None:
    if ends_s is None:
        return None
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        raise timed_out("the deadline of the whole request has passed")
    return left_s


@contextmanager
def _as_httpx_errors() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as exc:
        raise httpx.ReadTimeout(str(exc)) from exc
    except httpcore.ConnectError as exc:
        raise httpx.ConnectError(str(exc)) from exc
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as exc:
        raise httpx.ReadError(str(exc)) from exc
