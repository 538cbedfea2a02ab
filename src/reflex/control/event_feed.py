"""`EventFeed`: what the control plane tells as it happens, in one long answer (`GET /v1/events`)."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx

from reflex.client.http import session_arguments, tls_for, transport_errors
from reflex.control.event_lines import EventLines
from reflex.errors import TransportError, service_error

__all__ = ["EventFeed"]

CONNECT_S: Final = 5.0
SILENT_S: Final = 30.0
"""The control plane sends at least a comment every 10 s: a feed without is dead, whatever the network says."""
REFUSED: Final = (401, 403)


class EventFeed:
    """Read by one thread; `close` may come from another one, and ends the reading."""

    def __init__(self, base_url: str, api_key: str, kind: str, *, network: httpx.BaseTransport | None = None) -> None:
        self._base_url, self._kind = base_url, kind
        self._last_id: str | None = None
        self.is_open = False
        """Whether anything was heard, and it has not ended."""
        self._socket: socket.socket | None = None
        self._is_closed = False
        self._http = httpx.Client(
            transport=network, verify=tls_for(base_url) or False, timeout=httpx.Timeout(CONNECT_S, read=SILENT_S),
            **session_arguments(base_url, {"Accept": "text/event-stream", "Authorization": f"Bearer {api_key}"}, None),
        )  # fmt: skip

    def events(self) -> Iterator[Mapping[str, Any]]:
        """The data of each event, until the answer ends; the next call goes on where this one was.

        `TransportError` when it cannot be had or broke, `UnauthorizedError` when the key may not hear it.
        """
        resume = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
        with (
            transport_errors(self._base_url),
            self._http.stream("GET", "/v1/events", params={"kind": self._kind}, headers=resume) as answer,
        ):
            self._refuse(answer.status_code)
            self._socket, lines = _socket_of(answer), EventLines(self._last_id)
            try:
                for piece in answer.iter_raw():
                    self.is_open = True
                    yield from _told(lines, piece, self._kind)
                    self._last_id = lines.last_id
                    if self._is_closed:
                        return
            finally:
                self.is_open = False

    def close(self) -> None:
        """Whoever reads hears no more, at once; may be called twice."""
        self._is_closed = True
        if self._socket is not None:
            with contextlib.suppress(OSError, ValueError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give back what the connection holds; for the thread that has read."""
        self._http.close()

    def _refuse(self, status: int) -> None:
        if status in REFUSED:
            raise service_error("unauthorized", "this key may not hear the control plane's events")
        if status != httpx.codes.OK:
            raise TransportError(f"{self._base_url} answers {status} to /v1/events")


def _told(lines: EventLines, piece: bytes, kind: str) -> Iterator[Mapping[str, Any]]:
    try:
        each = [json.loads(event.data) for event in lines.feed(piece) if event.kind == kind]
    except (ValueError, RecursionError) as exc:
        raise TransportError(f"the control plane sends events that cannot be read ({exc})") from exc
    yield from (data for data in each if isinstance(data, Mapping))


def _socket_of(answer: httpx.Response) -> socket.socket | None:
    stream = answer.extensions.get("network_stream")
    found = None if stream is None else stream.get_extra_info("socket")
    return found if isinstance(found, socket.socket) else None
