"""Reads of a bounded size: the event loop's own may bring 256 KB at once, for each connection."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

from reflex.serving.bounded_connection import BoundedConnection, Bounds
from reflex.serving.pieces import BODY_READ_BYTES

__all__ = ["BoundedReads", "bounded_protocol"]


class Reader(Protocol):
    """Who says how much to read at once."""

    @property
    def read_bytes(self) -> int: ...


class BoundedReads(asyncio.BufferedProtocol):
    """Stands between the transport and one connection's protocol, and between that and its heir.

    `buffer` is that of all connections of a server: an event loop reads into it, and hands it over before it reads
    again.
    """

    def __init__(self, protocol: BoundedConnection, buffer: memoryview) -> None:
        self._buffer = buffer
        self._serve(protocol, protocol.pieces)
        protocol.become = lambda heir: self._serve(heir, cast("Reader", heir))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(cast("asyncio.Transport", transport))

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer[: self._reader.read_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(self._buffer[:nbytes]))

    def _serve(self, protocol: asyncio.Protocol, reader: Reader) -> None:
        self._protocol, self._reader = protocol, reader
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]


def bounded_protocol(connection: type[BoundedConnection], limits: Bounds) -> type[asyncio.Protocol]:
    """What uvicorn calls for each connection, bound to one server's limits."""
    bound = type("BoundProtocol", (connection,), {"limits": limits})
    buffer = memoryview(bytearray(BODY_READ_BYTES))

    def connect(**given: Any) -> BoundedReads:  # noqa: ANN401 - uvicorn's arguments
        return BoundedReads(bound(**given), buffer)

    return cast("type[asyncio.Protocol]", connect)
