"""Frames of HTTP/2 (RFC 9113, sections 4 and 6): to bytes, and from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from reflex_frontend.errors import Http2Error

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "GOAWAY",
    "HEADERS",
    "LONGEST",
    "PING",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "WINDOW_UPDATE",
    "Frame",
    "FrameReader",
    "frame",
    "frame_head",
    "settings_frame",
    "settings_in",
    "u32",
]

DATA: Final = 0x0
HEADERS: Final = 0x1
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20

HEAD_BYTES: Final = 9
LONGEST: Final = (1 << 24) - 1
"""Of a payload: more its length cannot say."""
SETTING_BYTES: Final = 6
PRIORITY_BYTES: Final = 5
STREAM_BITS: Final = 0x7FFF_FFFF
"""The highest bit of a number of a stream, of a window and of an error is reserved."""


class Frame(NamedTuple):
    """One frame, without its padding and without a priority (which RFC 9113 ended)."""

    kind: int
    flags: int
    stream: int
    payload: bytes
    size: int
    """With its padding: what it takes of the windows, if it is data."""


def u32(payload: bytes, offset: int = 0) -> int:
    """The 31 bits at `offset`; `Http2Error` when they are not there."""
    if len(payload) < offset + 4:
        raise Http2Error("a frame is too short for what it is")
    return int.from_bytes(payload[offset : offset + 4], "big") & STREAM_BITS


def frame_head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """What stands in front of a payload of `length` bytes."""
    return b"%b%c%c%b" % (length.to_bytes(3, "big"), kind, flags, stream.to_bytes(4, "big"))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return frame_head(len(payload), kind, flags, stream) + payload


def settings_frame(settings: dict[int, int]) -> bytes:
    pairs = [name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in settings.items()]
    return frame(SETTINGS, 0, 0, b"".join(pairs))


def settings_in(payload: bytes) -> Iterator[tuple[int, int]]:
    """Names and values in their order; the last of a name counts."""
    if len(payload) % SETTING_BYTES:
        raise Http2Error("a frame of settings is cut off")
    for at in range(0, len(payload), SETTING_BYTES):
        yield int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + SETTING_BYTES], "big")


class FrameReader:
    """Takes bytes as they come and gives the frames that are whole; a payload has at most `most` bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[bytes] = []
        """What came of a frame that is not whole."""
        self._have = 0
        self._need = HEAD_BYTES

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises `Http2Error` at the first frame that is none, or longer than it was told that it may be."""
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:  # a long frame is put together once, not at each piece of it
                return
            data = b"".join(self._parts)
            self._parts.clear()
        at, end = 0, len(data)
        while end - at >= HEAD_BYTES:
            length = int.from_bytes(data[at : at + 3], "big")
            if length > self._most:
                raise Http2Error(f"a frame of {length:,} bytes, where {self._most:,} are allowed")
            self._need = HEAD_BYTES + length
            if end - at < self._need:
                break
            kind, flags, stream = data[at + 3], data[at + 4], u32(data, at + 5)
            payload = data[at + HEAD_BYTES : at + self._need]
            at += self._need
            self._need = HEAD_BYTES
            yield Frame(kind, flags, stream, _bare(kind, flags, payload), length)
        if at < end:
            self._parts, self._have = [data[at:]], end - at


def _bare(kind: int, flags: int, payload: bytes) -> bytes:
    if kind not in (DATA, HEADERS) or not flags & (PADDED | PRIORITY):
        return payload
    start = end = 0
    if flags & PADDED:
        start, end = 1, payload[0] if payload else 0
    if kind == HEADERS and flags & PRIORITY:
        start += PRIORITY_BYTES
    if start + end > len(payload):
        raise Http2Error("a frame has more padding than bytes")
    return payload[start : len(payload) - end]
