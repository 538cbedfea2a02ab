"""A WebSocket by hand: the head that opens one, frames as a client sends them, and those of a server read."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Final

from websockets.frames import Frame, Opcode

__all__ = ["Received", "binary", "frame", "opening", "read_close", "read_frame", "text"]

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="


@dataclass(frozen=True)
class Received:
    """One frame of a server, whole."""

    opcode: int
    data: bytes


def opening(path: str = "/stream", **headers: str) -> bytes:
    """The head of a request for a WebSocket; a header's `_` is a dash."""
    given = {"host": "x", "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-key": KEY}
    given |= {"sec-websocket-version": "13"} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


def frame(opcode: Opcode, data: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask)


def binary(data: bytes) -> bytes:
    return frame(Opcode.BINARY, data)


def text(data: str) -> bytes:
    return frame(Opcode.TEXT, data.encode())


async def read_frame(reader: asyncio.StreamReader) -> Received:
    """The next one; a server's have no mask, and here no fragments."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length > 125:
        size = 2 if length == 126 else 8
        (length,) = struct.unpack(">H" if size == 2 else ">Q", await reader.readexactly(size))
    return Received(first & 0x0F, await reader.readexactly(length))


async def read_close(reader: asyncio.StreamReader) -> tuple[int, str]:
    """The code and the reason of the close that comes, whatever comes before it."""
    while (received := await read_frame(reader)).opcode != Opcode.CLOSE:
        pass
    return struct.unpack(">H", received.data[:2])[0], received.data[2:].decode()
