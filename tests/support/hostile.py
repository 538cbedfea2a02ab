"""A raw HTTP/1.1 client that sends any bytes at all, and what every error answer must look like."""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import socket
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

import reflex
from reflex.errors import STATUS_OF

__all__ = ["PATIENT", "Connection", "RawAnswer", "connection", "exchange", "is_envelope", "post_request"]

ANSWER_TIMEOUT_S: Final = 60.0
JSON: Final = "application/json"
PATIENT: Final = {"x-reflex-deadline-ms": "10000"}
"""The longest deadline that is taken: how busy the machine is decides no answer."""
HERE: Final = str(Path(reflex.__file__).resolve().parents[2]).encode()
LEAKS: Final = re.compile(
    rb'Traceback|File \\"|\.py\b|site-packages|/tmp/|/usr/|numpy|pydantic|starlette|' + re.escape(HERE)
)
"""What an error answer must never show: a traceback, a path, a library."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer as it came; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> str | None:
        """`error` of the envelope; None for a 200."""
        return None if self.status == 200 else str(self.json()["error"])


class Connection:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end_of_input(self) -> None:
        """Tell the server that nothing more will come."""
        self._socket.shutdown(socket.SHUT_WR)

    def read_head(self) -> RawAnswer:
        """The head of the next answer, which has no body because it answers HEAD."""
        status, headers = self._head()
        return RawAnswer(status, headers, b"")

    def read(self) -> RawAnswer:
        """The next answer, a `100 Continue` left out; raises `ConnectionError` when the server closed instead."""
        status, headers = self._head()
        return RawAnswer(status, headers, self._answers.read(int(headers.get("content-length", "0"))))

    def _head(self) -> tuple[int, Mapping[str, str]]:
        status, headers = 100, {}
        while status == 100:
            line = self._answers.readline()
            if not line:
                raise ConnectionError("the server closed the connection without an answer")
            status = int(line.split(b" ", 2)[1])
            headers = {name.lower(): value for name, value in http.client.parse_headers(self._answers).items()}
        return status, headers

    def is_closed_by_server(self) -> bool:
        """Waits for the server to close; anything else that it sends first makes this False."""
        try:
            return self._answers.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self._answers.close()
        self._socket.close()


@contextlib.contextmanager
def connection(port: int) -> Iterator[Connection]:
    """A connection that is closed at the end."""
    one = Connection(port)
    try:
        yield one
    finally:
        one.close()


def exchange(port: int, request: bytes, *, answers: int = 1) -> list[RawAnswer]:
    """Send the bytes on a connection of their own and read so many answers."""
    with connection(port) as one:
        with contextlib.suppress(ConnectionError):  # a server may refuse before it has read all; its answer counts
            one.send(request)
        return [one.read() for _ in range(answers)]


def post_request(body: bytes, headers: Mapping[str, str] | None = None, *, path: str = "/act") -> bytes:
    """A POST as a well-behaved, patient client writes it; `headers` replace the usual ones by lower-case name."""
    usual = {
        "host": "localhost",
        "content-type": JSON,
        "content-length": str(len(body)),
        "x-reflex-deadline-ms": "10000",
    }
    lines = {**usual, **(headers or {})}
    head = io.BytesIO()
    head.write(f"POST {path} HTTP/1.1\r\n".encode("latin-1"))
    for name, value in lines.items():
        head.write(f"{name}: {value}\r\n".encode("latin-1"))
    return head.getvalue() + b"\r\n" + body


def is_envelope(answer: RawAnswer, *, request_id: str | None = None) -> bool:
    """Whether this is the one error object: three strings, the code's own status, Retry-After on every 503, no leak."""
    envelope = answer.json()
    code, message = envelope["error"], envelope["message"]
    has_retry_after = re.fullmatch(r"[1-9]\d*", answer.headers.get("retry-after", "")) is not None
    return (
        answer.headers["content-type"] == JSON
        and STATUS_OF[code] == answer.status
        and isinstance(message, str)
        and len(message) > len("no")
        and (envelope["request_id"] == request_id if request_id else _is_uuid(envelope["request_id"]))
        and has_retry_after == (answer.status in (429, 503))
        and LEAKS.search(answer.body) is None
    )


def _is_uuid(text: str) -> bool:
    return str(uuid.UUID(text)) == text
