"""A load client for `WS /act/stream` that costs as little as `http_load`: frames prebuilt, answers cut out by length.

One observation at a time on each connection. Loopback only.
"""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any, Final, cast

from reflex.wire.packing import pack
from reflex.wire.stream import STREAM_PATH
from reflex_bench.http_load import HEADER_END
from reflex_bench.observation import INSTRUCTION

__all__ = ["ObservationFrame", "StreamConnection", "connect_stream"]

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
UNMASKED: Final = bytes(4)
"""A mask of zeros leaves the payload as it is: masking is the client's work, and not what is measured."""
BINARY, PING, PONG = 0x82, 0x89, 0x8A
PLACEHOLDER: Final = 2**62


class ObservationFrame:
    """A whole WebSocket frame of an observation, but for its number."""

    def __init__(self, nonce: float, image: str) -> None:
        fields: dict[str, Any] = {
            "type": "observation",
            "seq": PLACEHOLDER,
            "instruction": INSTRUCTION,
            "state": [nonce, 0.5, 0.0, 0.0, 0.0, 0.0],
            "image": base64.b64decode(image),
            "deadline_ms": 10_000,
        }
        payload = pack(fields)
        self._frame = bytearray(struct.pack(">BBQ", BINARY, 0x80 | 127, len(payload)) + UNMASKED + payload)
        self._seq_at = self._frame.index(struct.pack(">Q", PLACEHOLDER))

    def numbered(self, seq: int) -> bytes:
        struct.pack_into(">Q", self._frame, self._seq_at, seq)
        return bytes(self._frame)


class StreamConnection(asyncio.Protocol):
    """One stream. Every data frame that comes is the answer to the last observation."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_open = False
        self._waiting: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._seq = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ConnectionResetError("the server closed the stream"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            end = self._buffer.find(HEADER_END)
            if end < 0:
                return
            self._is_open = self._buffer.startswith(b"HTTP/1.1 101 ")
            del self._buffer[: end + len(HEADER_END)]
        while (frame := self._next_frame()) is not None:
            self._take(*frame)

    async def answer(self) -> bytes:
        """The payload of the next data frame."""
        self._waiting = asyncio.get_running_loop().create_future()
        return await self._waiting

    async def send(self, observation: ObservationFrame) -> bytes:
        """Send it under the next number; the payload of its answer."""
        assert self._transport is not None
        self._seq += 1
        self._transport.write(observation.numbered(self._seq))
        return await self.answer()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def open(self, port: int) -> None:
        assert self._transport is not None
        self._transport.write(
            f"GET {STREAM_PATH} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n".encode()
        )

    def _next_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(buffer[2:start], "big") if len(buffer) >= start else -1
        if length < 0 or len(buffer) < start + length:
            return None
        opcode, payload = buffer[0], bytes(buffer[start : start + length])
        del buffer[: start + length]
        return opcode, payload

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            assert self._transport is not None
            self._transport.write(struct.pack(">BB", PONG, 0x80 | len(payload)) + UNMASKED + payload)
        elif opcode == BINARY and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(payload)


async def connect_stream(port: int) -> StreamConnection:
    """A stream that is ready; its first frame has been read."""
    _, stream = await asyncio.get_running_loop().create_connection(StreamConnection, "127.0.0.1", port)
    stream.open(port)
    await stream.answer()
    return stream
