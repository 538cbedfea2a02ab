"""What the exceptions of sockets and websockets mean to who asked for actions: the one place where they become ours."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from typing import Final

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from reflex.client.http import IS_IT_RUNNING
from reflex.errors import ClientTimeoutError, TransportError
from reflex.wire import error_from_answer
from reflex.wire.stream import CLOSE_GOING_AWAY

__all__ = ["CLOSE_S", "bound_writes", "closed_error", "in_our_words"]

CLOSE_S: Final = 1.0
"""For the closing handshake: the other side may be gone."""


@contextlib.contextmanager
def in_our_words(url: str) -> Iterator[None]:
    """Raises `ServiceError` for a refusal, and `TransportError` for what broke."""
    try:
        yield
    except InvalidStatus as exc:
        headers: Mapping[str, str] = httpx.Headers(list(exc.response.headers.raw_items()))
        raise error_from_answer(exc.response.status_code, headers, bytes(exc.response.body or b"")) from exc
    except ConnectionClosed as exc:
        raise closed_error(exc) from exc
    except TimeoutError as exc:
        raise ClientTimeoutError(f"{url} did not answer in time") from exc
    except ssl.SSLError as exc:
        reason = getattr(exc, "reason", None)  # of OpenSSL's errors; those that Python raises itself have none
        raise TransportError(f"{url} cannot be reached by TLS ({reason or exc})") from exc
    except (OSError, EOFError, WebSocketException) as exc:
        raise TransportError(f"{url} cannot be reached ({exc}){IS_IT_RUNNING}") from exc


def closed_error(closed: ConnectionClosed) -> TransportError:
    """What a closed connection means for whoever waits for an answer."""
    received = closed.rcvd
    if received is None:
        return TransportError("the connection broke; the next observation opens another")
    reason = f": {received.reason}" if received.reason else ""
    if received.code == CLOSE_GOING_AWAY:
        return TransportError(f"the server is going away{reason}; the next observation connects anew")
    return TransportError(f"the server closed the stream ({int(received.code)}{reason})")


def bound_writes(sock: socket.socket, within_s: float) -> None:
    """A server that does not read holds a write no longer than an answer is waited for."""
    seconds, part = divmod(within_s, 1.0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), int(part * 1e6)))
