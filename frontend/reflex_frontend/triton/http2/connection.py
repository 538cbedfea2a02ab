"""One HTTP/2 connection, as its client: many unary calls at once, windows, pings, and whether the other side lives."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import Final, cast

import grpc
import grpc.aio
from hpack import OversizedHeaderListError

from reflex_frontend.errors import Http2Error
from reflex_frontend.triton.http2 import frames
from reflex_frontend.triton.http2.fields import MAX_FIELDS_BYTES, fields_in
from reflex_frontend.triton.http2.frames import Frame, FrameReader, frame, settings_in, u32
from reflex_frontend.triton.http2.silence import SilenceWatch
from reflex_frontend.triton.http2.status import call_error, of_reset
from reflex_frontend.triton.http2.stream import MAX_MESSAGE_BYTES, PREFIX_BYTES, Stream

__all__ = ["Connection"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME_BYTES: Final = 1 << 18
"""Of one frame that we take: an answer in few pieces, and no more memory for one that lies about its length."""
MOST_WINDOW: Final = (1 << 31) - 1
FIRST_WINDOW: Final = 65_535
FIRST_FRAME_BYTES: Final = 16_384
"""What holds before the other side has said something else (RFC 9113, section 6.5.2)."""
LAST_NUMBER: Final = (1 << 31) - (1 << 20)
"""Streams are numbered up to 2^31 and no number is used twice: the next call needs another connection."""
GIVE_BACK_BYTES: Final = 1 << 24
"""After so many bytes the other side is given their room again: long before `MOST_WINDOW` is used up."""
MOST_BLOCK_BYTES: Final = 1 << 22
REFUSED: Final = 0x7
"""REFUSED_STREAM: nothing was done for the call (RFC 9113, section 8.7)."""
CANCEL: Final = (0x8).to_bytes(4, "big")
UNANSWERED_MS: Final = 5_000
"""So long TCP sends again what nobody acknowledges, before the connection counts as broken; gRPC's clients, too."""

TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, FRAME_SIZE = 0x1, 0x2, 0x3, 0x4, 0x5
OURS: Final = {TABLE_SIZE: 0, ENABLE_PUSH: 0, INITIAL_WINDOW: MAX_MESSAGE_BYTES + PREFIX_BYTES,
               FRAME_SIZE: MAX_FRAME_BYTES}  # fmt: skip


class Connection(asyncio.Protocol):
    """Made by an event loop's `create_connection`; says by `takes_calls` when another has to be made."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.takes_calls = False
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader(MAX_FRAME_BYTES)
        self._streams: dict[int, Stream] = {}
        self._waiting: deque[Stream] = deque()
        """For a place among the streams that the other side takes at once."""
        self._next = 1
        self._room = FIRST_WINDOW
        self._stream_room = FIRST_WINDOW
        self._most_streams = MOST_WINDOW
        self._most_bytes = FIRST_FRAME_BYTES
        self._owed = 0
        """Bytes that came since room was last given."""
        self._block: tuple[Frame, bytearray] | None = None
        """Header fields that come in several frames."""
        self._ended = ""
        """Why it takes no more calls."""
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the other side has said how many calls it takes, and how large; an `OSError` when it cannot."""
        self._silence = SilenceWatch(
            ping=lambda: self._write([frame(frames.PING, 0, 0, bytes(8))]),
            end=lambda silent_s: self.abort(
                grpc.StatusCode.UNAVAILABLE, f"{peer} has been silent for {silent_s:.0f} s"
            ),
            has_calls=lambda: bool(self._streams or self._waiting),
        )

    def start(self, head: bytes, message: bytes) -> Stream:
        """Begins a call. Whoever gives it up says so by `drop`."""
        stream = Stream(asyncio.get_running_loop().create_future(), head, memoryview(message))
        if not self.takes_calls or self._transport is None or self._transport.is_closing():
            self.takes_calls = False
            reason = self._ended or _broken(self.peer, None)
            stream.fail(call_error(grpc.StatusCode.UNAVAILABLE, reason), is_untouched=True)
            return stream
        self._waiting.append(stream)
        self._write(self._begun())
        self._silence.expect()
        return stream

    def drop(self, stream: Stream) -> None:
        """Nobody waits for this call any more."""
        if stream in self._waiting:
            self._waiting.remove(stream)
        elif stream.is_begun and self._streams.pop(stream.number, None) is not None:
            self._write([frame(frames.RST_STREAM, 0, stream.number, CANCEL), *self._begun()])
            self._silence.expect()
        if stream.answer.done() and not stream.answer.cancelled():
            stream.answer.exception()  # seen, also where the call was given up in the same instant
        self._end_if_drained()

    def abort(self, code: grpc.StatusCode, reason: str) -> None:
        """Ends all calls with that error, and the connection."""
        self.takes_calls = False
        self._ended = self._ended or reason
        if not self.greeted.done():
            self.greeted.set_exception(OSError(reason))
            self.greeted.exception()  # seen, also where nobody waits for it any more
        self._fail_waiting(code, reason)
        for stream in self._streams.values():
            stream.fail(call_error(code, reason))
        self._streams.clear()
        self._silence.stop()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        link = transport.get_extra_info("socket")
        if (
            link is not None
            and link.family in (socket.AF_INET, socket.AF_INET6)
            and hasattr(socket, "TCP_USER_TIMEOUT")
        ):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
        more = frame(frames.WINDOW_UPDATE, 0, 0, (MOST_WINDOW - FIRST_WINDOW).to_bytes(4, "big"))
        self._write([PREFACE, frames.settings_frame(OURS), more])
        self.takes_calls = True

    def eof_received(self) -> None:
        """No more comes; what is still to be sent would be for nothing, and could take for ever."""
        self.abort(grpc.StatusCode.UNAVAILABLE, _broken(self.peer, None))

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort(grpc.StatusCode.UNAVAILABLE, _broken(self.peer, exc))
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._silence.hear()
        out: list[bytes | memoryview] = []
        try:
            for each in self._reader.feed(data):
                self._take(each, out)
        except Http2Error as exc:
            self.abort(grpc.StatusCode.UNAVAILABLE, f"what answers at {self.peer} is no Triton: {exc}")
            return
        self._write(out)
        self._end_if_drained()

    def _take(self, each: Frame, out: list[bytes | memoryview]) -> None:
        if not self.greeted.done() and each.kind != frames.SETTINGS:
            raise Http2Error("it does not begin with settings")
        if self._block is not None and each.kind != frames.CONTINUATION:
            raise Http2Error("header fields do not go on")
        if each.kind == frames.DATA:
            self._take_data(each, out)
        elif each.kind in (frames.HEADERS, frames.CONTINUATION):
            self._take_fields(each, out)
        elif each.kind == frames.WINDOW_UPDATE:
            self._take_window(each, out)
        elif each.kind == frames.SETTINGS:
            self._take_settings(each, out)
        elif each.kind == frames.PING and not each.flags & frames.ACK:
            out.append(frame(frames.PING, frames.ACK, 0, each.payload))
        elif each.kind == frames.RST_STREAM:
            error = u32(each.payload)
            self._end(each.stream, out, of_reset(error), is_untouched=error == REFUSED)
        elif each.kind == frames.GOAWAY:
            self._take_leave(each, out)
        elif each.kind == frames.PUSH_PROMISE:
            raise Http2Error("it promises what it was told not to")

    def _take_data(self, each: Frame, out: list[bytes | memoryview]) -> None:
        self._owed += each.size
        if self._owed >= GIVE_BACK_BYTES:
            out.append(frame(frames.WINDOW_UPDATE, 0, 0, self._owed.to_bytes(4, "big")))
            self._owed = 0
        stream = self._streams.get(each.stream)
        if stream is None:  # given up before
            return
        stream.take(each.payload)
        if each.flags & frames.END_STREAM:
            stream.fail(call_error(grpc.StatusCode.INTERNAL, "an answer without a status"))
            self._end(each.stream, out)
        elif stream.answer.done():
            self._reset(each.stream, out)

    def _take_fields(self, each: Frame, out: list[bytes | memoryview]) -> None:
        if each.kind == frames.HEADERS:
            self._block = each, bytearray()
        if self._block is None or self._block[0].stream != each.stream:
            raise Http2Error("header fields go on that never began")
        first, block = self._block
        block += each.payload
        if len(block) > MOST_BLOCK_BYTES:
            raise Http2Error("header fields without end")
        if each.flags & frames.END_HEADERS:
            self._block = None
            self._take_block(first, bytes(block), out)

    def _take_block(self, first: Frame, block: bytes, out: list[bytes | memoryview]) -> None:
        stream = self._streams.get(first.stream)
        if stream is None:
            return
        try:
            fields = fields_in(block)
        except OversizedHeaderListError:
            most = f"an answer with header fields of more than {MAX_FIELDS_BYTES:,} bytes"
            stream.fail(call_error(grpc.StatusCode.INTERNAL, most))
            self._reset(first.stream, out)
            return
        if first.flags & frames.END_STREAM:
            stream.end(fields)
            self._end(first.stream, out)
        elif not fields.get(":status", "").startswith("1"):  # an interim answer says nothing to us
            if stream.is_answered or fields.get(":status") != "200":
                stream.end({":status": fields.get(":status", "none")})
                self._reset(first.stream, out)
            stream.is_answered = True

    def _take_window(self, each: Frame, out: list[bytes | memoryview]) -> None:
        more = u32(each.payload)
        if each.stream == 0:
            self._room += more
            for stream in self._streams.values():
                self._push(stream, out)
        elif (mine := self._streams.get(each.stream)) is not None:
            mine.window += more
            self._push(mine, out)

    def _take_settings(self, each: Frame, out: list[bytes | memoryview]) -> None:
        if each.flags & frames.ACK:
            if not self.greeted.done():
                raise Http2Error("it does not begin with settings of its own")
            return
        if not self.greeted.done():
            self.greeted.set_result(None)
        for name, value in settings_in(each.payload):
            if name == INITIAL_WINDOW:
                for stream in self._streams.values():
                    stream.window += value - self._stream_room
                self._stream_room = value
            elif name == FRAME_SIZE:
                self._most_bytes = min(max(FIRST_FRAME_BYTES, value), frames.LONGEST)
            elif name == MAX_STREAMS:
                self._most_streams = value
        out.append(frame(frames.SETTINGS, frames.ACK, 0))
        for stream in self._streams.values():
            self._push(stream, out)
        out += self._begun()

    def _take_leave(self, each: Frame, out: list[bytes | memoryview]) -> None:
        """The other side takes no further calls; those after the last that it knows of it has not begun."""
        self.takes_calls = False
        last, error = u32(each.payload), u32(each.payload, 4)
        self._ended = f"{self.peer} ends the connection with error {error}"
        self._fail_waiting(grpc.StatusCode.UNAVAILABLE, self._ended)
        for number in [number for number in self._streams if number > last]:
            gone = call_error(grpc.StatusCode.UNAVAILABLE, self._ended)
            self._end(number, out, gone, is_untouched=True)

    def _fail_waiting(self, code: grpc.StatusCode, reason: str) -> None:
        while self._waiting:
            self._waiting.popleft().fail(call_error(code, reason), is_untouched=True)

    def _begun(self) -> list[bytes | memoryview]:
        """What begins the calls that have a place now."""
        out: list[bytes | memoryview] = []
        while self.greeted.done() and self._waiting and len(self._streams) < self._most_streams:
            stream = self._waiting.popleft()
            self._silence.allow_pings()
            stream.is_begun, stream.number, stream.window = True, self._next, self._stream_room
            self._next += 2
            self._streams[stream.number] = stream
            out += (frame(frames.HEADERS, frames.END_HEADERS, stream.number, stream.head),)
            self._push(stream, out)
        if self._next > LAST_NUMBER:
            self.takes_calls = False
        return out

    def _push(self, stream: Stream, out: list[bytes | memoryview]) -> None:
        self._room -= stream.push(self._room, self._most_bytes, out)

    def _end(
        self,
        number: int,
        out: list[bytes | memoryview],
        error: grpc.aio.AioRpcError | None = None,
        *,
        is_untouched: bool = False,
    ) -> None:
        """The other side is done with this call; without an `error` it has its answer."""
        stream = self._streams.get(number)
        if stream is None:
            return
        if error is not None:
            stream.fail(error, is_untouched=is_untouched and not stream.is_answered)
        elif not stream.is_sent:  # answered before it was asked to the end: nobody reads the rest
            self._reset(number, out)
            return
        del self._streams[number]
        out += self._begun()

    def _reset(self, number: int, out: list[bytes | memoryview]) -> None:
        del self._streams[number]
        out += (frame(frames.RST_STREAM, 0, number, CANCEL), *self._begun())

    def _end_if_drained(self) -> None:
        if not self.takes_calls and not self._streams and not self._waiting and self._transport is not None:
            self._transport.close()

    def _write(self, out: list[bytes | memoryview]) -> None:
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(out)


def _broken(peer: str, error: Exception | None) -> str:
    return f"the connection to {peer} broke: {error or 'it ended'}"
