"""uvicorn's HTTP protocol with the limits that it lacks, alike for every server of Reflex.

A request must be whole so long after its first byte, headers are bounded, and what is no HTTP gets the same error
envelope as everything else. A connection has one request in being: what comes before its answer is taken waits
unparsed, and is no longer read. So each request gets its own answer in its turn, also one that cannot be read.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from reflex.errors import ServiceError, service_error
from reflex.serving.broken import BrokenLog, what_is_wrong
from reflex.serving.pieces import Pieces
from reflex.serving.request_head import Offers, path_of, problem_of
from reflex.serving.turnstile import Turnstile
from reflex.wire import CONTENT_LENGTH_HEADER, HOST_HEADER, MAX_HEADER_BYTES, MAX_HEADERS, raw_name

__all__ = ["BoundedConnection", "Bounds"]

CONTENT_LENGTH: Final = raw_name(CONTENT_LENGTH_HEADER)
HOST: Final = raw_name(HOST_HEADER)
TOO_LONG: Final = f"the headers are longer than {MAX_HEADER_BYTES // 1024} KiB"
TOO_MANY: Final = f"there are more than {MAX_HEADERS} headers"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server's connections share."""

    receive_timeout_s: float
    broken: BrokenLog = field(default_factory=BrokenLog, kw_only=True)
    turnstile: Turnstile = field(default_factory=Turnstile, kw_only=True)


class BoundedConnection(HttpToolsProtocol, ABC):
    """One connection. Who derives from it says what a refusal looks like, and what is done when headers are in."""

    limits: ClassVar[Bounds]

    flow: _Flow
    # uvicorn says that this is always set; before the first request it is not.
    cycle: RequestResponseCycle | None  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        super().__init__(*args, **kwargs)
        self.url = b""  # uvicorn sets it with the first request
        self.pieces = Pieces()
        self.become: Callable[[asyncio.Protocol], None] | None = None
        """Gives the connection to another protocol; None where nothing can."""
        self._offers = Offers()
        self._receive_timer: asyncio.TimerHandle | None = None
        self._bytes_without_body = 0
        """Since the last byte of a body: of headers, trailers and what surrounds chunks."""
        self._in_headers = True
        self._is_waiting = False
        self._is_feeding = False

    @abstractmethod
    def refusal_of(self, error: ServiceError) -> bytes:
        """The whole answer, which says that the connection closes."""

    def begin_answering(self) -> None:
        """The headers are in, and nothing is wrong with them."""
        super().on_headers_complete()

    def takes_offer(self) -> bool:
        """Whether another protocol may be spoken at the path that is asked for."""
        return False

    def hands_over(self) -> bool:
        """The headers are in: whether they ask for that other protocol as they must."""
        return False

    def hand_over(self) -> None:
        """From here on the connection is the other protocol's."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self.expect_whole_within(self.limits.receive_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pieces.drop()
        self._request_is_whole()
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
            self.expect_whole_within(self.limits.receive_timeout_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_headers:
            return  # trailers: nobody has asked for them, and the application has read the headers
        if len(self.headers) < MAX_HEADERS:
            super().on_header(name, value)
        else:
            self._refuse(service_error("invalid_http", TOO_MANY))

    def on_headers_complete(self) -> None:
        self._bytes_without_body = 0
        if self.transport.is_closing() or self.hands_over():
            return
        if problem := problem_of(self.parser, self.url, self.header(HOST) or b""):
            self._refuse(service_error("invalid_http", problem))
            return
        self.url = path_of(self.url)
        self.pieces.body_left = int(self.header(CONTENT_LENGTH) or 0)
        self.begin_answering()
        self._in_headers = False

    def on_body(self, body: bytes) -> None:
        self._bytes_without_body = 0
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = True
        self._request_is_whole()
        if self.cycle is not None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if (
            len(self.pieces) and not self._is_feeding
        ):  # what is left may be the rest of the very request, refused unread
            self._hold()

    def resume_writing(self) -> None:
        super().resume_writing()
        if len(self.pieces):
            self._hold()

    def header(self, wanted: bytes) -> bytes | None:
        """The first of this name."""
        return next((value for name, value in self.headers if name == wanted), None)

    def expect_whole_within(self, time_s: float) -> None:
        """From now on."""
        self._request_is_whole()
        self._receive_timer = self.loop.call_later(time_s, self._receive_timed_out)

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
            self.expect_whole_within(self.limits.receive_timeout_s)
        self._bytes_without_body += len(piece)
        if self._bytes_without_body > MAX_HEADER_BYTES:
            self._refuse(service_error("invalid_http", TOO_LONG))
            return
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        if self._in_headers:
            self._parse_head(piece)
        else:
            self._parse(piece)

    def _parse_head(self, piece: bytes) -> None:
        unheard = self._offers.unheard(piece)
        if unheard is not piece:
            offer = next(at for at, (said, heard) in enumerate(zip(piece, unheard, strict=False)) if said != heard)
            self._parse(piece[:offer])  # so that the path is known
            unheard = piece[offer:] if self.takes_offer() else unheard[offer:]
        self._parse(unheard)

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserError as exc:
            problem = what_is_wrong(str(exc), piece)
            self.limits.broken.note(problem)
            self._refuse(service_error("invalid_http", problem))
        except httptools.HttpParserUpgrade:
            self.hand_over()  # unless it was refused, see problem_of

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

    def _request_is_whole(self) -> None:
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None

    def _receive_timed_out(self) -> None:
        self._receive_timer = None
        self._refuse(service_error("request_timeout", "the request did not arrive whole in time"))

    def _refuse(self, error: ServiceError) -> None:
        """Close on a request that is not whole; if it has an answer, or the beginning of one, that is its only one."""
        if self.transport.is_closing():
            return
        if self._in_headers or self.cycle is None or not self.cycle.response_started:
            self.transport.write(self.refusal_of(error))
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
