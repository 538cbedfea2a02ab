"""`openpi`: a server of that protocol, Reflex's or another; a chunk for every observation, one after the other.

Answers have no numbers there, so that a late one would pass for the next: a connection on which an answer did not come
in time is dropped, and the next observation opens another.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import numpy as np
from websockets.sync.client import ClientConnection, connect

from reflex.client.http import checked_key
from reflex.client.streaming.failures import CLOSE_S, bound_writes, in_our_words
from reflex.client.streaming.shared_tls import shared
from reflex.connector import Observation
from reflex.errors import (
    STATUS_OF,
    InferenceError,
    ServiceError,
    SetupError,
    TransportError,
    service_error,
)
from reflex.wire import AUTHORIZATION_HEADER, EPISODE_HEADER, HEADER_SAFE, MAX_ANSWER_BYTES
from reflex.wire.arrays import OPENPI_CLIENT, array_map, read_arrays
from reflex.wire.packing import pack, unpack
from reflex_runner.tick import DatedChunk
from reflex_runner.transports.pictures import pixels
from reflex_runner.transports.transport import Asking

__all__ = ["OpenpiTransport"]

PATH: Final = "/openpi"
"""Of a Reflex server; who gives a ws:// address gives the path as well."""
PAUSE_S: Final = 0.2
TRIED_AGAIN: Final = frozenset({403, 404, 408, 425, 429})


class OpenpiTransport:
    """A camera whose name has dots, `images.cam_high`, is sent inside of maps; every other name is a key as it is."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._url = _address(asking.url)
        self._connection: ClientConnection | None = None
        self._metadata: Mapping[str, Any] = {}

    @property
    def control_hz(self) -> float:
        return self._asking.rate(self._metadata.get("control_hz"))

    def open(self) -> None:
        """Connect, and read what the server says of its policy."""
        ends_s = time.monotonic() + self._asking.target.connect_timeout_s
        while self._connection is None:
            try:
                self._connect(max(0.05, ends_s - time.monotonic()))
            except (TransportError, ServiceError) as exc:
                if not _may_pass(exc) or time.monotonic() + PAUSE_S >= ends_s:
                    raise
                time.sleep(PAUSE_S)
        self._asking.rate(self._metadata.get("control_hz"))

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        """`Transport.ask`."""
        ends_s = time.monotonic() + self._asking.target.timeout_s
        frame = pack(self._fields(seq, observation, executed_steps))
        connection = self._connection or self._connect(_left(ends_s))
        answer = self._read(self._exchanged(connection, frame, ends_s))
        return self._asking.dated(seq, observation, answer.get("actions"), answer, self.control_hz)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _fields(self, seq: int, observation: Observation, executed_steps: int | None) -> dict[str, Any]:
        target = self._asking.target
        fields: dict[str, Any] = {**target.extra_payload, **self._asking.seeded(seq)}
        for name, picture in pixels(observation.cameras, target).items():
            *within, last = name.split(".")
            _inside(fields, within)[last] = array_map(picture, OPENPI_CLIENT)
        state = np.asarray(observation.state, np.float32)
        fields[target.state_field or "state"] = array_map(state, OPENPI_CLIENT)
        if instruction := self._asking.instruction_of(observation):
            fields[target.instruction_field or "prompt"] = instruction
        return fields | (self._known_to_reflex(executed_steps) if self._is_reflex else {})

    @property
    def _is_reflex(self) -> bool:
        return self._metadata.get("server") == "reflex"

    def _known_to_reflex(self, executed_steps: int | None) -> dict[str, Any]:
        """What another server might stumble over."""
        deadline_ms = min(self._asking.target.timeout_s * 1000.0, 10_000.0)
        known = {"episode_id": self._asking.episode_id, "deadline_ms": deadline_ms}
        return known if executed_steps is None else {**known, "executed_steps": executed_steps}

    def _exchanged(self, connection: ClientConnection, frame: bytes, ends_s: float) -> bytes | str:
        try:
            with in_our_words(self._url):
                connection.send(frame)
                return connection.recv(_left(ends_s))
        except TransportError:
            self._drop()
            raise

    def _read(self, message: bytes | str) -> dict[str, Any]:
        if isinstance(message, str):
            raise _told(message)
        try:
            return _map_in(message)
        except TransportError:
            self._drop()
            raise

    def _connect(self, within_s: float) -> ClientConnection:
        ends_s = time.monotonic() + within_s
        with in_our_words(self._url), contextlib.ExitStack() as undo:
            # Without a proxy, which is meant for the web and must not come between a robot and its server.
            connection = connect(
                self._url, additional_headers=self._headers(), open_timeout=within_s, close_timeout=CLOSE_S,
                ping_interval=None, compression=None, max_size=MAX_ANSWER_BYTES, proxy=None,
                create_connection=cast("type[ClientConnection]", self._over),
            )  # fmt: skip
            undo.callback(connection.close_socket)
            connection.__enter__()  # or websockets warns of what nobody closes
            bound_writes(connection.socket, self._asking.target.timeout_s)
            self._metadata = _map_in(connection.recv(_left(ends_s)))
            undo.pop_all()
        self._connection = connection
        return connection

    def _over(self, sock: socket.socket, *given: Any, **named: Any) -> ClientConnection:  # noqa: ANN401 - websockets' own
        return ClientConnection(shared(sock, self._asking.target.timeout_s), *given, **named)

    def _headers(self) -> dict[str, str]:
        key = self._asking.api_key
        now = key() if callable(key) else key
        headers = {EPISODE_HEADER: quote(self._asking.episode_id, safe=HEADER_SAFE)}
        return headers if now is None else headers | {AUTHORIZATION_HEADER: f"Bearer {checked_key(now)}"}

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close_socket()


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in ("ws", "wss") and parts.hostname:
        return url
    if parts.scheme in ("http", "https") and parts.hostname:
        return parts._replace(scheme=parts.scheme.replace("http", "ws"), path=parts.path.rstrip("/") or PATH).geturl()
    raise SetupError(f"target.url: {url!r} is no server; write it like ws://localhost:8000/openpi")


def _inside(fields: dict[str, Any], names: list[str]) -> dict[str, Any]:
    for name in names:
        fields = fields.setdefault(name, {})
    return fields


def _left(ends_s: float) -> float:
    return max(0.001, ends_s - time.monotonic())


def _map_in(message: bytes | str) -> dict[str, Any]:
    if isinstance(message, str):
        raise _told(message)
    try:
        found, _ = read_arrays(unpack(message))
    except ValueError as exc:
        raise TransportError(f"the server sent what is no answer of openpi's protocol: {exc}") from exc
    if not isinstance(found, dict):
        raise TransportError("the server sent what is no answer of openpi's protocol")
    return found


def _told(message: str) -> ServiceError:
    """A text is an error: ours begins with its code, those of other servers end with the reason."""
    code, _, words = message.partition(": ")
    if code in STATUS_OF:
        return service_error(code, words.removeprefix(f"{code}: "))
    last = next((line.strip() for line in reversed(message.splitlines()) if line.strip()), "the server gave no reason")
    return InferenceError("inference_failed", last[:300])


def _may_pass(error: TransportError | ServiceError) -> bool:
    return not isinstance(error, ServiceError) or error.status in TRIED_AGAIN or error.status >= 500
