"""uvicorn's protocol with what it lacks: bounds for slow peers, and the envelope for what is no HTTP."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from reflex.errors import ServiceError, service_error
from reflex_control.http.answering import whole_refusal
from reflex_control.http.reading import RECEIVE_S

__all__ = ["TimedProtocol"]


SEND_S: Final = 10.0
LEAST_BYTES: Final = 64 * 1024
"""Whoever takes less than this of an answer in `SEND_S` is cut off: it is gone, or holds the server up."""


class TimedProtocol(HttpToolsProtocol):
    """One connection. The body's own bounds are `reading.read_body`'s."""

    receive_s = RECEIVE_S
    send_s = SEND_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        super().__init__(*args, **kwargs)
        self._headers_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_are_there()
        self._reader_goes_on()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._reader_goes_on()
        super().resume_writing()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._headers_timer is None:
            self._wait_for_headers()

    def on_headers_complete(self) -> None:
        self._headers_are_there()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        self._headers_are_there()
        self._refuse(service_error("invalid_http", "this is no HTTP/1.1 that can be read"))

    def _wait_for_headers(self) -> None:
        self._headers_timer = self.loop.call_later(self.receive_s, self._too_late)

    def _headers_are_there(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    def _watch_reader(self, left_bytes: int) -> None:
        self._reader_timer = self.loop.call_later(self.send_s, self._look_at_reader, left_bytes)

    def _reader_goes_on(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _look_at_reader(self, before_bytes: int) -> None:
        left_bytes = self.transport.get_write_buffer_size()
        if before_bytes - left_bytes < LEAST_BYTES:
            self.transport.abort()
        else:
            self._watch_reader(left_bytes)

    def _too_late(self) -> None:
        self._headers_timer = None
        self._refuse(service_error("request_timeout", "the request's headers did not arrive whole in time"))

    def _refuse(self, error: ServiceError) -> None:
        if not self.transport.is_closing():
            self.transport.write(whole_refusal(error, STATUS_LINE[error.status]))
            self.transport.close()
