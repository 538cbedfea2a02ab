"""A gRPC server of which a test has every frame in hand: python-hyper's HTTP/2, which is strict with its client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from support.streams.listening import listening

__all__ = ["Asked", "Http2Peer", "http2_peer", "prefixed"]

OK_FIELDS = ((":status", "200"), ("content-type", "application/grpc"))
OK_STATUS = (("grpc-status", "0"),)


def prefixed(message: bytes) -> bytes:
    return b"\x00" + len(message).to_bytes(4, "big") + message


@dataclass
class Asked:
    """One call as the server sees it."""

    stream: int
    fields: dict[str, str]
    body: bytearray = field(default_factory=bytearray)

    @property
    def message(self) -> bytes:
        assert self.body[0] == 0
        assert len(self.body) == 5 + int.from_bytes(self.body[1:5], "big")
        return bytes(self.body[5:])


@dataclass
class Http2Peer:
    """`answer` is given each call that is whole. What else the client sent stands in the lists."""

    answer: Callable[[Http2Peer, Asked], Awaitable[None] | None] = lambda peer, asked: peer.echo(asked)
    settings: dict[h2.settings.SettingCodes | int, int] = field(default_factory=dict)
    gives_room: bool = True
    """Whether what has come is room for more at once."""
    port: int = 0
    calls: list[Asked] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)
    pings: int = 0
    connections: int = 0
    most_at_once: int = 0
    largest: int = 0
    """Bytes of one frame of a request."""
    _open: dict[int, Asked] = field(default_factory=dict)

    def echo(self, asked: Asked) -> None:
        self.send(asked.stream, prefixed(asked.message))

    def send(self, stream: int, body: bytes, status: tuple[tuple[str, str], ...] = OK_STATUS) -> None:
        """A whole answer, as far as the client has room for it."""
        self.h2.send_headers(stream, OK_FIELDS)
        for at in range(0, len(body), self.h2.max_outbound_frame_size):
            self.h2.send_data(stream, body[at : at + self.h2.max_outbound_frame_size])
        self.h2.send_headers(stream, status, end_stream=True)
        self.flush()

    def echo_as(self, asked: Asked, _error: int) -> None:
        self.echo(asked)

    def refuse(self, asked: Asked, error: int) -> None:
        self.h2.reset_stream(asked.stream, error)

    def was_pinged(self, times: int) -> bool:
        return self.pings == times

    def has_taken(self, size: int) -> bool:
        """Of the calls that are not whole."""
        return sum(len(asked.body) for asked in self._open.values()) == size

    def flush(self, more: bytes = b"") -> None:
        self.writer.write(self.h2.data_to_send() + more)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.clear()
        self.writer = writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        first: Any = dict(self.h2.local_settings) | self.settings
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=first)
        self.h2.max_inbound_frame_size = self.h2.local_settings.max_frame_size
        self.h2.initiate_connection()
        self.flush()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                for event in self.h2.receive_data(data):
                    await self._take(event)
                self.flush()

    async def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._open[event.stream_id] = Asked(
                event.stream_id, {str(name): str(value) for name, value in event.headers}
            )
            self.most_at_once = max(self.most_at_once, len(self._open))
        elif isinstance(event, h2.events.DataReceived):
            self._open[event.stream_id].body += event.data
            self.largest = max(self.largest, len(event.data))
            if self.gives_room and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            asked = self._open.pop(event.stream_id)
            self.calls.append(asked)
            if (waiting := self.answer(self, asked)) is not None:
                await waiting
        elif isinstance(event, h2.events.StreamReset):
            self._open.pop(event.stream_id, None)
            self.resets.append(event.stream_id)
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1


@contextlib.asynccontextmanager
async def http2_peer(peer: Http2Peer) -> AsyncIterator[str]:
    """The address of `peer`, as long as the block runs."""
    async with listening(peer.serve) as port:
        peer.port = port
        yield f"127.0.0.1:{port}"
