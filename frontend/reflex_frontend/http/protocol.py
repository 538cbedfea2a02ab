"""uvicorn's HTTP protocol with the limits that it lacks.

A request must be whole `receive_timeout_s` after its first byte, a response must be read as fast, headers are bounded,
and what is no HTTP gets the same error envelope as everything else. A connection has one request in being: what comes
before its answer is taken waits unparsed, and is no longer read. When the instance is full, /act is refused as soon as
its headers are in: a refusal must cost almost nothing, or an overload becomes an outage.
"""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from reflex.errors import ServiceError, service_error
from reflex.wire import (
    CONTENT_LENGTH_HEADER,
    HOST_HEADER,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    ORIGIN_HEADER,
    raw_name,
)
from reflex_frontend.act.answer import whole_response
from reflex_frontend.http.broken import BrokenLog, what_is_wrong
from reflex_frontend.http.endpoint import RECEIVED_AT, RESPOND, WHOLE_BODY, RawHeaders
from reflex_frontend.http.pieces import Pieces
from reflex_frontend.http.turnstile import Turnstile

__all__ = ["BoundedProtocol", "Limits"]

CONTENT_LENGTH: Final = raw_name(CONTENT_LENGTH_HEADER)
HOST: Final = raw_name(HOST_HEADER)
ORIGIN: Final = raw_name(ORIGIN_HEADER)
UPGRADE_HEADER: Final = re.compile(rb"(\r\n)upgrade([ \t]*:)", re.IGNORECASE)
"""It gets another name of the same length: RFC 9110 (7.8) lets a server ignore it. Java's HttpClient and `curl --http2`
offer h2c with every plain request; the parser would take what follows the headers for another protocol. A header cut in
two by the network escapes this and is refused."""
SMALL_BODY_BYTES: Final = 64 * 1024
ABSOLUTE_TARGET: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server's connections share."""

    receive_timeout_s: float
    refusal: Callable[[], bytes | None]
    """The whole answer to an /act whose body is not worth reading, or None."""
    count_answer: Callable[[int], None]
    act_headers: Callable[[], Mapping[str, str]] = dict
    """What every answer of /act carries, also when the request was never whole."""
    is_draining: Callable[[], bool] = bool
    """Whether this server is on its way out, so that clients had better connect elsewhere."""
    broken: BrokenLog = field(default_factory=BrokenLog)
    turnstile: Turnstile = field(default_factory=Turnstile)


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    limits: ClassVar[Limits]

    flow: _Flow
    # uvicorn says that this is always set; before the first request it is not.
    cycle: RequestResponseCycle | None  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        super().__init__(*args, **kwargs)
        self.url = b""  # uvicorn sets it with the first request
        self.pieces = Pieces()
        self._receive_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._bytes_without_body = 0
        """Since the last byte of a body: of headers, trailers and what surrounds chunks."""
        self._in_headers = True
        self._is_waiting = False
        self._is_feeding = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)
        transport.set_write_buffer_limits(high=0)  # what the kernel does not take, its reader has not taken
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self.pieces.drop()
        self._request_is_whole()
        self._reader_is_back()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.pieces.add(data)
        if not self._is_waiting:
            self._feed()
        if len(self.pieces):
            self._hold()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own signature
        """Whether the connection stays, for the answer to a request that is whole; it closes with that answer.

        While requests are held nothing is read, so the end is seen when the last of them has begun.
        """
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not self._is_between:
            return False
        cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._receive_timer is None:
            self._expect_request()
        self.scope[RECEIVED_AT] = time.monotonic()  # type: ignore[typeddict-unknown-key]

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_headers:
            return  # trailers: nobody has asked for them, and the application has read the headers
        if len(self.headers) < MAX_HEADERS:
            super().on_header(name, value)
        else:
            self._refuse_and_close(service_error("invalid_http", f"there are more than {MAX_HEADERS} headers"))

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._bytes_without_body = 0
        if self.transport.is_closing():
            return
        if problem := self._problem():
            self._refuse_and_close(service_error("invalid_http", problem))
            return
        self.pieces.body_left = int(self._header(CONTENT_LENGTH) or 0)
        refusal = self.limits.refusal() if self._is_plain_act() else None
        if refusal is not None:
            self._refuse_unread(refusal)
            return
        super().on_headers_complete()
        if self.cycle is not None and self.parser.get_method() == b"POST" and self._header(ORIGIN) is None:
            self.scope[RESPOND] = functools.partial(self._respond, self.cycle)  # type: ignore[typeddict-unknown-key]
            self.scope[WHOLE_BODY] = functools.partial(_whole_body, self.cycle)  # type: ignore[typeddict-unknown-key]

    def on_body(self, body: bytes) -> None:
        self._bytes_without_body = 0
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = True
        self._request_is_whole()
        if self.cycle is not None:
            super().on_message_complete()
            self._part_when_draining(self.cycle)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if (
            len(self.pieces) and not self._is_feeding
        ):  # what is left may be the rest of the very request, refused unread
            self._hold()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.receive_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._reader_is_back()
        super().resume_writing()
        if len(self.pieces):
            self._hold()

    def _feed(self) -> None:
        """Give the parser what is held, up to the end of one request; nothing where it must wait."""
        self._is_feeding = True
        try:
            while len(self.pieces) and not self._must_wait():
                self._feed_piece(self.pieces.take())
                if self._is_between or self.transport.is_closing():
                    return
        finally:
            self._is_feeding = False

    def _feed_piece(self, piece: bytes) -> None:
        if self._is_between:
            self._expect_request()
        self._bytes_without_body += len(piece)
        if self._bytes_without_body > MAX_HEADER_BYTES:
            self._refuse_and_close(service_error("invalid_http", "the headers are longer than 64 KiB"))
            return
        if self._in_headers and b"pgrade" in piece:
            piece = UPGRADE_HEADER.sub(rb"\1x-grade\2", piece)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self._parse(piece)

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserError as exc:
            problem = what_is_wrong(str(exc), piece)
            self.limits.broken.note(problem)
            self._refuse_and_close(service_error("invalid_http", problem))
        except httptools.HttpParserUpgrade:
            pass  # it is refused already, see _problem

    @property
    def _is_between(self) -> bool:
        """Whether the last request is whole, and of the next one nothing has been fed."""
        return self._receive_timer is None

    def _must_wait(self) -> bool:
        """Whether a request may not begin: its predecessor's answer is not given, or not taken."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return self._is_between and (self.flow.write_paused or not is_answered)

    def _hold(self) -> None:
        """Read no more until what is held has been fed; once it may be, this connection stands in line for that."""
        if self.transport.is_closing():
            self.pieces.drop()
            return
        self.flow.is_held = True
        self.flow.pause_reading()
        if not self._is_waiting and not self._must_wait():
            self._is_waiting = True
            self.limits.turnstile.wait(self._go_on)

    def _go_on(self) -> None:
        self._is_waiting = False
        self._feed()
        if len(self.pieces):
            self._hold()
        elif not self.transport.is_closing():
            self.flow.is_held = False
            self.flow.resume_reading()

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
        is_plain = not self.expect_100_continue and self._header(ORIGIN) is None and not self.limits.is_draining()
        return is_act and is_plain and bool(self.parser.should_keep_alive())

    def _header(self, wanted: bytes) -> bytes | None:
        return next((value for name, value in self.headers if name == wanted), None)

    def _problem(self) -> str | None:
        """What is wrong with a request whose headers could be read."""
        if self.parser.should_upgrade():
            # The parser takes what follows for another protocol: the body would be lost, or read as a request.
            return "send the request without an Upgrade header"
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            return "send the request as HTTP/1.1"
        if not self.url.startswith(b"/") and self.url != b"*":
            found = ABSOLUTE_TARGET.match(self.url)
            if found is None or found[1].lower() != (self._header(HOST) or b"").lower():
                return "ask for a path, like /act, or for a URL of the host that the Host header names"
        return None

    def _refuse_unread(self, refusal: bytes) -> None:
        """Answer before the body has come; the parser goes on to skip it."""
        self.transport.write(refusal)
        self.limits.count_answer(503)
        self.cycle = cast("RequestResponseCycle", _AnsweredCycle())
        self.on_response_complete()

    def _expect_request(self) -> None:
        self._receive_timer = self.loop.call_later(self.limits.receive_timeout_s, self._receive_timed_out)

    def _request_is_whole(self) -> None:
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None

    def _reader_is_back(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _receive_timed_out(self) -> None:
        self._receive_timer = None
        self._refuse_and_close(service_error("request_timeout", "the request did not arrive whole in time"))

    def _refuse_and_close(self, error: ServiceError) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            more = self.limits.act_headers() if self.url == b"/act" else {}
            self.transport.write(whole_response(error, close=True, more=more))
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


class _Flow(FlowControl):
    """An application that waits for more of a request must not make a connection read the next ones."""

    is_held = False

    def resume_reading(self) -> None:
        if not self.is_held:
            super().resume_reading()


def _whole_body(cycle: RequestResponseCycle) -> bytes | None:
    """A small body is complete when its request begins to be answered: no need to wait for it, or to time the wait."""
    is_whole = not cycle.more_body and not cycle.waiting_for_100_continue and len(cycle.body) <= SMALL_BODY_BYTES
    return bytes(cycle.body) if is_whole else None


class _AnsweredCycle:
    """Stands for a request that was answered without a cycle of its own; uvicorn asks it only this."""

    response_complete = True
    response_started = True
    disconnected = False
    keep_alive = True
    more_body = False

    def __init__(self) -> None:
        self.message_event = asyncio.Event()
