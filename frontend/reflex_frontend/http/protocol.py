"""What the server of policies asks of its connections beyond what every server of Reflex does.

When the instance is full, /act is refused as soon as its headers are in: a refusal must cost almost nothing, or an
overload becomes an outage.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from typing import Any, ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from reflex.errors import ServiceError
from reflex.serving.bounded_connection import BoundedConnection
from reflex.wire import CONTENT_LENGTH_HEADER, ORIGIN_HEADER, raw_name
from reflex_frontend.act.answer import whole_response
from reflex_frontend.http.answered_cycle import AnsweredCycle
from reflex_frontend.http.endpoint import RECEIVED_AT, RESPOND, WHOLE_BODY, RawHeaders
from reflex_frontend.http.limits import Limits

__all__ = ["BoundedProtocol"]

CONTENT_LENGTH: Final = raw_name(CONTENT_LENGTH_HEADER)
ORIGIN: Final = raw_name(ORIGIN_HEADER)
TRANSFER_ENCODING: Final = b"transfer-encoding"
UPGRADE: Final = b"upgrade"
SMALL_BODY_BYTES: Final = 64 * 1024


class BoundedProtocol(BoundedConnection):
    """One connection; a response must be read as fast as a request must come."""

    limits: ClassVar[Limits]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        super().__init__(*args, **kwargs)
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # what the kernel does not take, its reader has not taken

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader_is_back()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[RECEIVED_AT] = time.monotonic()  # type: ignore[typeddict-unknown-key]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle is not None:
            self._part_when_draining(self.cycle)

    def begin_answering(self) -> None:
        refusal = self.limits.refusal() if self._is_plain_act() else None
        if refusal is not None:
            self._refuse_unread(refusal)
            return
        super().begin_answering()
        if self.cycle is not None and self.parser.get_method() == b"POST" and self.header(ORIGIN) is None:
            self.scope[RESPOND] = functools.partial(self._respond, self.cycle)  # type: ignore[typeddict-unknown-key]
            self.scope[WHOLE_BODY] = functools.partial(_whole_body, self.cycle)  # type: ignore[typeddict-unknown-key]

    def refusal_of(self, error: ServiceError) -> bytes:
        more = self.limits.act_headers() if self.url == b"/act" else {}
        return whole_response(error, close=True, more=more)

    def takes_offer(self) -> bool:
        return self.url.partition(b"?")[0] in self.limits.streams and self.parser.get_method() == b"GET"

    def hands_over(self) -> bool:
        has_body = self.header(TRANSFER_ENCODING) is not None or self.header(CONTENT_LENGTH) not in (None, b"0")
        is_offered = self.parser.should_upgrade() and (self.header(UPGRADE) or b"").lower() == b"websocket"
        return is_offered and self.takes_offer() and self.become is not None and not has_body

    def hand_over(self) -> None:
        """From here on the connection is a WebSocket's. What was refused, see `problem_of`, is closing already."""
        if self.transport.is_closing() or self.become is None:
            return
        self.server_state.connections.discard(self)
        self.flow.resume_reading()
        shared: dict[str, Any] = {"server_state": self.server_state, "app_state": self.app_state}
        heir = cast("Callable[..., Any]", self.ws_protocol_class)(config=self.config, **shared)
        self.become(heir)
        heir.connection_made(self.transport)
        heir.data_received(_head(self.url, self.headers) + self.pieces.take_all())

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.receive_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._reader_is_back()
        super().resume_writing()

    def _respond(self, cycle: RequestResponseCycle, status: int, headers: RawHeaders, body: bytes) -> None:
        """The whole answer in one write: ASGI's two would be two system calls, and wake the client twice."""
        if cycle.disconnected or self.transport.is_closing():
            return
        self._part_when_draining(cycle)
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body)
        self.transport.write(b"".join(lines))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def _part_when_draining(self, cycle: RequestResponseCycle) -> None:
        """Let the answer say `Connection: close`: a connection that just closes may do so as the next request comes.

        Not while a body is still coming, for the kernel would then reset the connection and the answer be lost.
        """
        if self.limits.is_draining() and not cycle.more_body:
            cycle.keep_alive = False

    def _is_plain_act(self) -> bool:
        """Whether nothing but the path to the model awaits this request: no CORS, no 100-continue."""
        is_act = self.url == b"/act" and self.parser.get_method() == b"POST"
        is_plain = not self.expect_100_continue and self.header(ORIGIN) is None and not self.limits.is_draining()
        return is_act and is_plain and bool(self.parser.should_keep_alive())

    def _refuse_unread(self, refusal: bytes) -> None:
        """Answer before the body has come; the parser goes on to skip it."""
        self.transport.write(refusal)
        self.limits.count_answer(503)
        self.cycle = cast("RequestResponseCycle", AnsweredCycle())
        self.on_response_complete()

    def _reader_is_back(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def _head(url: bytes, headers: RawHeaders) -> bytes:
    """Of a request whose head was read: as it is written."""
    return b"".join((b"GET ", url, b" HTTP/1.1\r\n", *(b"%b: %b\r\n" % header for header in headers), b"\r\n"))


def _whole_body(cycle: RequestResponseCycle) -> bytes | None:
    """A small body is complete when its request begins to be answered: no need to wait for it, or to time the wait."""
    is_whole = not cycle.more_body and not cycle.waiting_for_100_continue and len(cycle.body) <= SMALL_BODY_BYTES
    return bytes(cycle.body) if is_whole else None
