"""Reads of a bounded size: the event loop's own may bring 256 KB at once, for each connection."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from reflex_frontend.http.pieces import BODY_READ_BYTES
from reflex_frontend.http.protocol import BoundedProtocol, Limits

__all__ = ["BoundedReads", "bounded_protocol"]


class BoundedReads(asyncio.BufferedProtocol):
    """Stands between the transport and one connection's protocol.

    `buffer` is that of all connections of a server: an event loop reads into it, and hands it over before it reads
    again.
    """

    def __init__(self, protocol: BoundedProtocol, buffer: memoryview) -> None:
        self._protocol = protocol
        self._buffer = buffer
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(cast("asyncio.Transport", transport))

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer[: self._protocol.pieces.read_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(self._buffer[:nbytes]))


def bounded_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """What uvicorn calls for each connection, bound to one server's limits."""
    bound = type("BoundProtocol", (BoundedProtocol,), {"limits": limits})
    buffer = memoryview(bytearray(BODY_READ_BYTES))

    def connect(**given: Any) -> BoundedReads:  # noqa: ANN401 - uvicorn's arguments
        return BoundedReads(bound(**given), buffer)

    return cast("type[asyncio.Protocol]", connect)
