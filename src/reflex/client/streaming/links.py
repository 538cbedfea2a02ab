"""One connection to `WS /act/stream`, from a name to the server's first frames: all that knows sockets and TLS.

Written twice, for threads and for asyncio; what both decide alike stands below them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.client import ClientProtocol
from websockets.sync.client import ClientConnection
from websockets.uri import parse_uri

from reflex.client.streaming.course import error_of
from reflex.client.streaming.errors import OpenTiming
from reflex.client.streaming.failures import CLOSE_S, bound_writes, in_our_words
from reflex.client.streaming.frames import encode_hello, read_frame
from reflex.client.streaming.opening import Stages
from reflex.client.streaming.options import StreamOptions, check_ready
from reflex.client.streaming.shared_tls import shared
from reflex.errors import TransportError
from reflex.wire import MAX_ANSWER_BYTES
from reflex.wire.stream import ReadyFrame

__all__ = ["AsyncLink", "Link", "open_async_link", "open_link"]

ConnectionT = TypeVar("ConnectionT")


@dataclass
class _Opened(Generic[ConnectionT]):
    connection: ConnectionT
    ready: ReadyFrame
    open_timing: OpenTiming
    key: str | None
    """The one that the server was shown last."""


class Link(_Opened[ClientConnection]):
    """A connection that is ready for observations, for threads."""

    def drop(self) -> None:
        """At once, and without a word: whoever is on the other side does not answer."""
        self.connection.close_socket()


class AsyncLink(_Opened[AsyncConnection]):
    """The same for one event loop."""

    def drop(self) -> None:
        self.connection.transport.abort()


def open_link(options: StreamOptions, within_s: float) -> Link:
    """Raises `ServiceError` for a refusal, `TransportError` for what broke, `SetupError` for another server."""
    key = options.key_now()
    ends_s, stages = time.monotonic() + within_s, Stages(time.monotonic)
    with in_our_words(options.url), contextlib.ExitStack() as undo:
        raw = _connected(options, ends_s, stages)
        undo.callback(raw.close)
        connection = ClientConnection(_secured(raw, options, stages), _protocol(options), **_settings())
        connection.__enter__()  # or websockets warns of what nobody closes; `Link` is closed by its stream
        undo.callback(connection.close_socket)
        connection.handshake(options.handshake_headers(key), options.user_agent, max(0.0, ends_s - time.monotonic()))
        stages.end("upgrade_ms")
        connection.send(encode_hello(options.hello()))
        ready = None
        while ready is None:
            ready = _ready(connection.recv(max(0.0, ends_s - time.monotonic())), options, stages)
        undo.pop_all()
    return Link(connection, ready, stages.timing, key)


async def open_async_link(options: StreamOptions, within_s: float) -> AsyncLink:
    """`open_link`, awaiting."""
    key = options.key_now()
    stages = Stages(time.monotonic)
    with in_our_words(options.url):
        async with asyncio.timeout(within_s), contextlib.AsyncExitStack() as undo:
            sock = await _connected_async(options, stages)
            undo.callback(sock.close)
            connection = await _async_connection(sock, options, stages)
            undo.callback(connection.transport.abort)
            await connection.handshake(options.handshake_headers(key), options.user_agent)
            stages.end("upgrade_ms")
            await connection.send(encode_hello(options.hello()))
            ready = None
            while ready is None:
                ready = _ready(await connection.recv(), options, stages)
            undo.pop_all()
    return AsyncLink(connection, ready, stages.timing, key)


def _ready(data: bytes | str, options: StreamOptions, stages: Stages) -> ReadyFrame | None:
    """The answer to our hello; None for the frames before it."""
    if "first_message_ms" not in stages.timing:
        stages.end("first_message_ms")
    frame = read_frame(data)
    if frame["type"] == "error":
        raise error_of(frame)
    if frame["type"] != "ready" or frame.get("episode_id") != options.episode_id:
        return None
    ready = cast("ReadyFrame", frame)
    missing = sorted(ReadyFrame.__required_keys__ - frame.keys())
    if missing:
        raise TransportError(f"the server's first frame lacks {', '.join(missing)}; is it of this version?")
    check_ready(options, ready)
    return ready


def _protocol(options: StreamOptions) -> ClientProtocol:
    return ClientProtocol(parse_uri(options.websocket_url), max_size=MAX_ANSWER_BYTES)


def _settings() -> dict[str, Any]:
    """The course of a stream decides when to ping."""
    return {"ping_interval": None, "ping_timeout": None, "close_timeout": CLOSE_S}


def _connected(options: StreamOptions, ends_s: float, stages: Stages) -> socket.socket:
    addresses = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
    stages.end("dns_ms")
    error = OSError(f"{options.host} has no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(0.001, ends_s - time.monotonic()))
            sock.connect(address)
        except OSError as exc:
            sock.close()
            error = exc
        else:
            stages.end("tcp_ms")
            return sock
    raise error


async def _connected_async(options: StreamOptions, stages: Stages) -> socket.socket:
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
    stages.end("dns_ms")
    error = OSError(f"{options.host} has no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)  # noqa: FBT003 - socket has no other name for it
        try:
            await loop.sock_connect(sock, address)
        except OSError as exc:
            sock.close()
            error = exc
        except BaseException:
            sock.close()
            raise
        else:
            stages.end("tcp_ms")
            return sock
    raise error


async def _async_connection(sock: socket.socket, options: StreamOptions, stages: Stages) -> AsyncConnection:
    connection = AsyncConnection(_protocol(options), **_settings())
    tls = options.tls()
    _bound_silence(sock, options.deadline_s)
    server_hostname = options.host if tls is not None else None
    await asyncio.get_running_loop().create_connection(
        lambda: connection, sock=sock, ssl=tls, server_hostname=server_hostname
    )
    if tls is not None:
        stages.end("tls_ms")
    return connection


def _secured(sock: socket.socket, options: StreamOptions, stages: Stages) -> socket.socket:
    """The socket to speak over, blocking, in which a write waits no longer than an observation may."""
    tls = options.tls()
    _bound_silence(sock, options.deadline_s)
    if tls is not None:
        sock = tls.wrap_socket(sock, server_hostname=options.host)
        stages.end("tls_ms")
    sock.settimeout(None)
    bound_writes(sock, options.deadline_s)
    return shared(sock, options.deadline_s)


def _bound_silence(sock: socket.socket, deadline_s: float) -> None:
    """Where the system can: what the other side does not acknowledge in time ends the connection."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
    if user_timeout is not None:
        sock.setsockopt(socket.IPPROTO_TCP, user_timeout, max(1, int(deadline_s * 1000)))
