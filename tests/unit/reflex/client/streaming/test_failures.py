"""Whatever a connection fails with is one of our errors, in a sentence that says what to do."""

from __future__ import annotations

import socket
import ssl

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidStatus,
    WebSocketException,
)
from websockets.frames import Close
from websockets.http11 import Response

from reflex.client.streaming.failures import bound_writes, in_our_words
from reflex.errors import ClientTimeoutError, TransportError, UnauthorizedError

URL = "http://robot-brain:8000"
REFUSED = b'{"error": "unauthorized", "message": "no such key", "request_id": null}'


@pytest.mark.parametrize(
    ("failure", "error", "said"),
    [
        (InvalidStatus(Response(401, "no", Headers(), REFUSED)), UnauthorizedError, "unauthorized: no such key"),
        (TimeoutError(), ClientTimeoutError, f"{URL} did not answer in time"),
        (ConnectionClosedError(None, None), TransportError, "the connection broke; the next observation opens another"),
        (ConnectionClosedOK(Close(1001, "draining"), None), TransportError, "the server is going away: draining; the"),
        (ConnectionClosedError(Close(1011, "it failed"), None), TransportError, "closed the stream (1011: it failed)"),
        (ConnectionRefusedError(111, "refused"), TransportError, "refused); is `reflex serve` running there?"),
        (EOFError("no answer"), TransportError, f"{URL} cannot be reached (no answer)"),
        (InvalidHandshake("no upgrade"), TransportError, f"{URL} cannot be reached (no upgrade)"),
        (WebSocketException("odd"), TransportError, f"{URL} cannot be reached (odd)"),
    ],
)
def test_a_failure_is_one_of_our_errors(failure: Exception, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as told, in_our_words(URL):
        raise failure
    assert said in str(told.value)
    assert told.value.__cause__ is failure


def test_what_fails_in_tls_is_not_taken_for_a_server_that_is_not_running() -> None:
    with pytest.raises(TransportError) as told, in_our_words(URL):
        raise ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    assert str(told.value).startswith(f"{URL} cannot be reached by TLS (")
    assert "reflex serve" not in str(told.value)


def test_what_is_no_failure_of_a_connection_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), in_our_words(URL):
        raise ZeroDivisionError


def test_a_write_that_nobody_takes_ends() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bound_writes(ours, 0.05)
        with pytest.raises(BlockingIOError):
            ours.sendall(bytes(64 << 20))
