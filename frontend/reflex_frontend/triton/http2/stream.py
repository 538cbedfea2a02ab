"""One call on a connection: what of its request is still to be sent, and what of its answer is there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

import grpc
import grpc.aio

from reflex_frontend.triton.http2.fields import Fields
from reflex_frontend.triton.http2.frames import DATA, END_STREAM, frame_head
from reflex_frontend.triton.http2.status import call_error, of_fields

__all__ = ["MAX_MESSAGE_BYTES", "PREFIX_BYTES", "Stream"]

MAX_MESSAGE_BYTES: Final = 256 * 1024 * 1024
PREFIX_BYTES: Final = 5
"""In front of a message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message")."""
UNCOMPRESSED: Final = 0


@dataclass(slots=True, eq=False)
class Stream:
    """One unary call; `answer` is its message, or an `AioRpcError`."""

    answer: asyncio.Future[bytes]
    head: bytes
    """Its header fields, encoded."""
    message: memoryview
    is_begun: bool = False
    number: int = field(init=False)
    """Known once it is begun."""
    window: int = 0
    """How many bytes the other side takes of this stream."""
    sent: int = 0
    """Bytes of the message and its prefix."""
    is_answered: bool = False
    """Whether the answer's first header fields are there."""
    is_untouched: bool = False
    """Whether it failed before the other side did anything for it: it can be begun anew without harm."""
    _parts: list[bytes] = field(default_factory=list)
    """Of the answer: with its prefix until that is whole, without it after that."""
    _size: int = 0
    _length: int | None = None

    @property
    def is_sent(self) -> bool:
        return self.sent == PREFIX_BYTES + len(self.message)

    def push(self, room: int, most: int, out: list[bytes | memoryview]) -> int:
        """Puts frames of at most `most` bytes into `out` as far as `room` and the stream's own window go.

        Returns how many bytes of windows they take.
        """
        total, before = PREFIX_BYTES + len(self.message), self.sent
        while (size := min(total - self.sent, room - (self.sent - before), self.window, most)) > 0:
            end = self.sent + size
            out.append(frame_head(size, DATA, END_STREAM if end == total else 0, self.number))
            if self.sent < PREFIX_BYTES:
                prefix = bytes((UNCOMPRESSED,)) + len(self.message).to_bytes(PREFIX_BYTES - 1, "big")
                out.append(prefix[self.sent : end])
            if end > PREFIX_BYTES:
                out.append(self.message[max(self.sent - PREFIX_BYTES, 0) : end - PREFIX_BYTES])
            self.sent, self.window = end, self.window - size
        return self.sent - before

    def take(self, data: bytes) -> None:
        """More of the answer; an answer that is none ends the call."""
        self._parts.append(data)
        self._size += len(data)
        if self._length is None and self._size >= PREFIX_BYTES:
            self._take_prefix(b"".join(self._parts))
        if self._length is not None and self._size > PREFIX_BYTES + self._length:
            self.fail(call_error(grpc.StatusCode.INTERNAL, "an answer with more bytes than it says"))

    def end(self, fields: Fields) -> None:
        """The last header fields are there."""
        error = of_fields(fields)
        if error is None and (self._length is None or self._size != PREFIX_BYTES + self._length):
            error = call_error(grpc.StatusCode.INTERNAL, "an answer that is cut off")
        if error is not None:
            self.fail(error)
        elif not self.answer.done():
            self.answer.set_result(b"".join(self._parts))

    def fail(self, error: grpc.aio.AioRpcError, *, is_untouched: bool = False) -> None:
        if not self.answer.done():
            self.is_untouched = is_untouched
            self.answer.set_exception(error)

    def _take_prefix(self, came: bytes) -> None:
        self._parts = [came[PREFIX_BYTES:]]
        self._length = int.from_bytes(came[1:PREFIX_BYTES], "big")
        if came[0] != UNCOMPRESSED:
            mistake = "an answer that is compressed, which it was not asked to be"
            self.fail(call_error(grpc.StatusCode.INTERNAL, mistake))
        elif self._length > MAX_MESSAGE_BYTES:
            self.fail(call_error(grpc.StatusCode.RESOURCE_EXHAUSTED, f"an answer of {self._length:,} bytes"))
