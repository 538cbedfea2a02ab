"""A server of streams in a thread, which does as it is told, and a proxy before it that fails; over real sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

import msgpack
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from reflex.client.streaming.shared_tls import shared
from support.streams.relay import Relay, relayed, reset_at_close
from support.waiting import HANGS_S

__all__ = ["READY", "Fault", "Proxy", "ScriptedServer", "Side", "chunk_frame", "proxy", "scripted_server"]

READY: Mapping[str, Any] = {
    "type": "ready",
    "model_version": "pick@0123456789ab",
    "embodiment": "franka",
    "control_hz": 50.0,
    "cameras": ["base", "wrist"],
    "state_dim": 6,
    "num_actions": 4,
    "action_dim": 7,
    "deadline_ms": 1000.0,
}
Frames = Callable[[Mapping[str, Any]], list[Mapping[str, Any] | bytes | None]]
"""From a frame of the client to what is sent; None closes with 1001."""


def chunk_frame(seq: int, value: float = 0.25, **fields: Any) -> dict[str, Any]:
    """A chunk of 4 x 7 equal values, without numpy."""
    data = struct.pack("<28f", *[value] * 28)
    actions = {"__ndarray__": True, "dtype": "<f4", "shape": [4, 7], "data": data}
    return {"type": "chunk", "seq": seq, "actions": actions, "num_actions": 4, "action_dim": 7, **fields}


def at_once(frame: Mapping[str, Any]) -> list[Mapping[str, Any] | bytes | None]:
    return [chunk_frame(frame["seq"])]


@dataclass
class ScriptedServer:
    """`statuses` refuse the next handshakes; `answer` is asked for every observation, and sends nothing when None."""

    port: int
    statuses: deque[int] = field(default_factory=deque)
    answer: Frames | None = at_once
    ready: dict[str, Any] = field(default_factory=lambda: dict(READY))
    received: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    says_hello: bool = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def observations(self) -> list[dict[str, Any]]:
        return [frame for frame in self.received if frame["type"] == "observation"]

    def process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append(dict(request.headers.raw_items()))
        if request.path != "/act/stream":
            return connection.respond(HTTPStatus.NOT_FOUND, "elsewhere")
        if self.statuses:
            return connection.respond(HTTPStatus(self.statuses.popleft()), "no")
        return None

    def serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        with contextlib.suppress(ConnectionClosed):
            if self.says_hello:
                connection.send(msgpack.packb(self.ready))
            for data in connection:
                frame = msgpack.unpackb(data)
                self.received.append(frame)
                self._answer(connection, frame)

    def _answer(self, connection: ServerConnection, frame: dict[str, Any]) -> None:
        if frame["type"] == "hello":
            if self.says_hello:
                connection.send(msgpack.packb({**self.ready, "episode_id": frame.get("episode_id")}))
            return
        for answer in self.answer(frame) if self.answer is not None else []:
            if answer is None:
                connection.close(1001, "draining")
            else:
                connection.send(answer if isinstance(answer, bytes) else msgpack.packb(answer))


@contextlib.contextmanager
def scripted_server(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    scripted = ScriptedServer(0)
    settings: dict[str, Any] = {"close_timeout": 1.0, "ping_interval": None, "ssl": tls, "create_connection": _shared}
    with serve(scripted.serve, "127.0.0.1", 0, process_request=scripted.process_request, **settings) as server:
        scripted.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield scripted
        finally:
            _stop(server, scripted)
            thread.join()


def _shared(sock: socket.socket, *arguments: Any, **named: Any) -> ServerConnection:
    return ServerConnection(shared(sock, HANGS_S), *arguments, **named)


def _stop(server: Server, scripted: ScriptedServer) -> None:
    for connection in scripted.connections:
        connection.close_socket()
    server.shutdown()


Fault = Literal["reset", "end", "silence"]
Side = Literal["client", "server"]


@dataclass
class Proxy(Relay):
    """Hands bytes on, until `cut_after` of them went `towards` one side; then it does what `fault` says."""

    cut_after: int | None = None
    towards: Side = "client"
    fault: Fault = "reset"
    passed: dict[str, int] = field(default_factory=lambda: {"client": 0, "server": 0})

    def join(self, client: socket.socket, server: socket.socket) -> None:
        self.carry(self._pass_on, client, server, "server")
        self.carry(self._pass_on, server, client, "client")

    def _pass_on(self, source: socket.socket, sink: socket.socket, towards: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.towards != towards or self.cut_after is None:
                    self.passed[towards] += len(data)
                    sink.sendall(data)
                    continue
                left = max(0, self.cut_after - self.passed[towards])
                self.passed[towards] += len(data)
                sink.sendall(data[:left])
                if left < len(data):
                    self._fail(source, sink)
                    return
            sink.shutdown(socket.SHUT_WR)

    def _fail(self, *both: socket.socket) -> None:
        """Silence keeps both connections open, and whatever comes is taken and goes nowhere."""
        self.cut_after = 0
        if self.fault == "silence":
            return
        for sock in both:
            if self.fault == "reset":
                reset_at_close(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@contextlib.contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    with relayed(lambda listener: Proxy(target, listener)) as made:
        yield made
