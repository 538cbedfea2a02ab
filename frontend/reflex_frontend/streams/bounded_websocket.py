"""uvicorn's WebSocket protocol with the limits that it lacks.

A message must be whole `receive_timeout_s` after its first byte and an answer be read as fast, as of HTTP; a message
has a bounded number of fragments; what connections hold counts against the memory of all bodies; and what is no
WebSocket gets the same error envelope as everything else.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame
from websockets.http11 import Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from reflex.errors import service_error
from reflex.wire import MAX_BODY_BYTES
from reflex_frontend.act.answer import JSON, error_body
from reflex_frontend.act.body_budget import BodyBudget
from reflex_frontend.streams.connection import DRAINING, GOING_AWAY

__all__ = ["BoundedWebSocket", "Bounds", "bounded_websocket"]

MAX_FRAGMENTS: Final = 1_024
"""Each costs some hundred bytes beside its own; 8 KiB a fragment make the largest message."""
IDLE_READ_BYTES: Final = 16 * 1024
"""Thousands of the smallest messages may be in one read; where a message has begun, more is read at once."""
READ_BYTES: Final = 64 * 1024
PING_EVERY_S: Final = 10.0
PONG_WITHIN_S: Final = 20.0
"""Longer than the longest deadline: while an answer is made nothing is read, and so no pong."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the WebSockets of one server share."""

    receive_timeout_s: float
    bodies: BodyBudget


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """One connection, from the head of the request that opens it."""

    bounds: ClassVar[Bounds]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        super().__init__(*args, **kwargs)
        self.conn = _Handshake(max_size=MAX_BODY_BYTES, logger=self.logger)  # no extension: nothing is decompressed
        self.ping_interval, self.ping_timeout = PING_EVERY_S, PONG_WITHIN_S
        self._held_bytes = 0
        self._waiting_bytes = 0
        self._is_parting = False
        self._message_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def read_bytes(self) -> int:
        """How much to read at once."""
        return READ_BYTES if len(self.conn.reader.buffer) >= IDLE_READ_BYTES // 2 else IDLE_READ_BYTES

    def data_received(self, data: bytes) -> None:
        if self._is_parting:
            return
        super().data_received(data)
        if not self._is_parting:
            self._account()
            self._watch_message()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
        self._hold_nothing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.bounds.receive_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def shutdown(self) -> None:
        """Say that the server stops; uvicorn would say that it restarts, and give no reason."""
        if self.handshake_complete and not self.close_sent:
            self.close_sent = True
            if not self.transport.is_closing():
                self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY, "reason": DRAINING})
                self.conn.send_close(GOING_AWAY, DRAINING)
                self.transport.write(b"".join(self.conn.data_to_send()))
        super().shutdown()

    def handle_ping(self) -> None:
        pongs = self.conn.data_to_send()
        if self.writable.is_set():  # who reads nothing gets none: they would pile up
            self.transport.write(b"".join(pongs))

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self._give_up(CloseCode.POLICY_VIOLATION, f"a message may have at most {MAX_FRAGMENTS} fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.close_sent:
            self.frames = []  # nobody will receive it
            return
        message = b"".join(self.frames)
        if self.curr_msg_data_type == "text" and not _is_utf8(message):
            self._give_up(CloseCode.INVALID_DATA, "a text message must be UTF-8")
            return
        self._waiting_bytes += len(message)
        self.frames = [message]
        super().send_receive_event_to_app()

    async def receive(self) -> Any:  # noqa: ANN401 - an event of ASGI
        if self.queue.empty():
            self._waiting_bytes = 0  # the last one has been answered
            if not (self._is_parting or self.disconnected):
                self._account()  # there is room: it has become less
        event = await super().receive()
        self._watch_message()
        return event

    async def send(self, message: Any) -> None:  # noqa: ANN401 - an event of ASGI
        data = message.get("bytes")
        if data is not None and self._writes_at_once and message["type"] == "websocket.send":
            self.transport.write(_binary_head(len(data)) + data)
            return
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # with a refusal; uvicorn would take it for a fault, and log one for each
        if self.close_sent and not (self._is_parting or self.disconnected):
            self._account()

    @property
    def _writes_at_once(self) -> bool:
        """An open connection whose peer reads; neither side has begun to close it."""
        return self.conn.state is State.OPEN and self.writable.is_set() and not self.disconnected

    def handle_parser_exception(self) -> None:
        """Say why it ends, and read on for a while what is still being sent.

        To close with something unread resets a connection, and the reason would be lost on its way.
        """
        ending = self.conn.close_sent
        if ending is None or self._is_parting:
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": ending.code, "reason": ending.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.close_sent = self._is_parting = True
        self.frames = []
        self.conn.reader.discard()
        self._hold_nothing()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.bounds.receive_timeout_s, self.transport.abort)

    def _account(self) -> None:
        if self.close_sent:
            self.frames, self._waiting_bytes = [], 0  # nobody will receive it
        fragments = sum(map(len, self.frames)) if self.frames else 0
        held = len(self.conn.reader.buffer) + fragments + self._waiting_bytes
        if not self.bounds.bodies.hold(held, instead_of=self._held_bytes):
            if self.close_sent:
                self.transport.abort()  # it has been told the reason, and sends on
            self._give_up(CloseCode.TRY_AGAIN_LATER, "this server holds as many long messages as it may; try again")
            return
        self._held_bytes = held

    def _hold_nothing(self) -> None:
        self.bounds.bodies.hold(0, instead_of=self._held_bytes)
        self._held_bytes = 0

    def _watch_message(self) -> None:
        """A message that has begun must go on; not while it is we who do not read."""
        has_begun = bool(self.frames or self.conn.reader.buffer)
        if not has_begun or self.read_paused or self.close_sent:
            self._cancel_message_timer()
        elif self._message_timer is None:
            self._message_timer = self.loop.call_later(self.bounds.receive_timeout_s, self._message_is_late)

    def _message_is_late(self) -> None:
        self._message_timer = None
        self._give_up(CloseCode.POLICY_VIOLATION, "the message did not arrive whole in time")

    def _give_up(self, code: CloseCode, reason: str) -> None:
        self.frames = []
        if not self.close_sent and not self.transport.is_closing():
            self.conn.fail(code, reason)
            self.handle_parser_exception()

    def _cancel_message_timer(self) -> None:
        if self._message_timer is not None:
            self._message_timer.cancel()
            self._message_timer = None

    def _cancel_timers(self) -> None:
        self._cancel_message_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class _Handshake(ServerProtocol):
    def reject(self, status: HTTPStatus | int, text: str) -> Response:
        """The envelope; `text` is that of the library, which names what is wrong with the offer."""
        found = text.removeprefix("Failed to open a WebSocket connection: ").strip().rstrip(".") or "it was refused"
        error = service_error("invalid_http", f"this is no offer of a WebSocket (RFC 6455): {found}")
        body = error_body(error)
        headers = Headers([("Connection", "close"), ("Content-Length", str(len(body))), ("Content-Type", JSON)])
        code = int(status) if int(status) >= 500 else error.status
        return Response(code, HTTPStatus(code).phrase, headers, body)


def bounded_websocket(bounds: Bounds) -> type[asyncio.Protocol]:
    """What uvicorn calls for each connection that goes on as a WebSocket, bound to one server's limits."""
    return type("BoundWebSocket", (BoundedWebSocket,), {"bounds": bounds})


def _binary_head(size: int) -> bytes:
    """Of a message in one frame, which a server does not mask (RFC 6455, 5.2). Each answer of a stream has one."""
    if size < 126:
        return bytes((0x82, size))
    return struct.pack(">BBH", 0x82, 126, size) if size < 1 << 16 else struct.pack(">BBQ", 0x82, 127, size)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
