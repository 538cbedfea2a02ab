"""`Asker`: GET from one server that a user named. Each answer is bounded, and all of them together in time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import httpx

from reflex.client.deadline_transport import DeadlineTransport
from reflex.errors import SetupError, TransportError
from reflex.outbound.addresses import resolve

__all__ = ["DEADLINE_S", "Answered", "Asker", "Resolver"]

DEADLINE_S: Final = 2.0
MAX_BODY_BYTES: Final = 64 * 1024
PORTS: Final = {"http": 80, "https": 443}
HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity", "connection": "keep-alive"}

_PLAIN: Final = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without spaces and backslashes, of which readers of URLs make different things."""

Resolver = Callable[[str, int, float], list[str]]
"""Host, port and the moment by which it must have answered; raises as `reflex.outbound.resolve`."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer. What is in it was written by whoever listens there."""

    status: int
    body: bytes
    asked_at_s: float
    """On the monotonic clock, as the next one."""
    answered_at_s: float


class Asker:
    """One server, whose name is resolved once; its own name goes into Host and TLS all the same.

    `SetupError` for a URL or an address that is never asked, `TransportError` when no whole answer comes in time.
    """

    def __init__(self, url: str, *, deadline_s: float = DEADLINE_S, resolver: Resolver = resolve) -> None:
        self.ends_s = time.monotonic() + deadline_s
        scheme, host, port = _parts(url)
        self._url = url.rstrip("/")
        addresses = resolver(host, port, self.ends_s)
        transport = DeadlineTransport(
            ssl_context=httpx.create_ssl_context() if scheme == "https" else None,
            addresses=lambda _host, _port: addresses,
        )
        # No proxy of the environment: it would look the name up again, elsewhere.
        self._client = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answered:
        """One GET, of `path` below the URL."""
        asked_at_s = time.monotonic()
        with _in_our_words(self._url):
            request = self._client.build_request(
                "GET", f"{self._url}{path}", headers={**HEADERS, **(headers or {})}, timeout=self.ends_s - asked_at_s
            )
            answer = self._client.send(request, stream=True)
            answered_at_s = time.monotonic()
            try:
                return Answered(answer.status_code, _bounded(answer), asked_at_s, answered_at_s)
            finally:
                answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._client.close()


def _parts(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
        is_right = parts.hostname and parts.username is None and parts.password is None and "%" not in parts.netloc
    except (ValueError, KeyError):
        is_right = False
    if not is_right or not parts.hostname or parts.query or parts.fragment or not _PLAIN.fullmatch(url):
        raise SetupError(
            "an address to ask has http or https as its scheme, a host, and nothing beside a port and a path"
        )
    return parts.scheme, parts.hostname, port


def _bounded(answer: httpx.Response) -> bytes:
    """As it was sent: what is packed may be a thousand times larger than it looks."""
    if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise TransportError("its answer is packed, which was not asked for")
    body = bytearray()
    for piece in answer.iter_raw():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise TransportError(f"its answer is longer than {MAX_BODY_BYTES // 1024} KiB")
    return bytes(body)


@contextmanager
def _in_our_words(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as exc:
        raise TransportError(f"{url} gave no whole answer in time") from exc
    except httpx.ConnectError as exc:
        if "SSL" in str(exc):
            found = f"{url} has no TLS that is trusted here ({exc}); SSL_CERT_FILE names what to trust"
            raise TransportError(found) from exc
        raise TransportError(f"{url} cannot be connected to ({exc})") from exc
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as exc:
        raise TransportError(f"{url} broke off, or does not speak HTTP/1.1") from exc
    except TransportError as exc:
        raise TransportError(f"{url}: {exc}") from exc
