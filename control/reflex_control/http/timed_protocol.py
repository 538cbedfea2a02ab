"""What the control plane asks of its connections beyond what every server of Reflex does: a reader that goes on."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from reflex.errors import ServiceError
from reflex.serving.bounded_connection import BoundedConnection
from reflex_control.http.answering import whole_refusal

__all__ = ["TimedProtocol"]

SEND_S: Final = 10.0
LEAST_BYTES: Final = 64 * 1024
"""Whoever takes less than this of an answer in `SEND_S` is cut off: it is gone, or holds the server up."""


class TimedProtocol(BoundedConnection):
    """One connection. What reads a body bounds its time; what of it nobody reads is waited for as long again."""

    send_s = SEND_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        super().__init__(*args, **kwargs)
        self._reader_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader_goes_on()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own signature
        """A stream ends with its listener, which has most likely gone: what has begun is waited for no longer."""
        has_begun = self.cycle is not None and self.cycle.response_started
        return super().eof_received() and not has_begun

    def begin_answering(self) -> None:
        self.expect_whole_within(2 * self.limits.receive_timeout_s)
        super().begin_answering()

    def refusal_of(self, error: ServiceError) -> bytes:
        return whole_refusal(error, STATUS_LINE[error.status])

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._reader_goes_on()
        super().resume_writing()

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
