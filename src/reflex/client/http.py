"""What both clients share at their edge to httpx: options, requests, and its exceptions in our own words."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx

import reflex
from reflex.api_keys import is_well_formed
from reflex.client.call import Answer, Send
from reflex.errors import ClientTimeoutError, SetupError, TransportError
from reflex.signed.session_credential import is_like_one

__all__ = ["DEFAULT_URL", "IS_IT_RUNNING", "ApiKey", "IncomingAnswer", "checked_deadline_s", "checked_key",
           "checked_url", "request_arguments", "session_arguments", "tls_for", "transport_errors"]  # fmt: skip

DEFAULT_URL: Final = "http://localhost:8000"
ApiKey = str | Callable[[], str]
"""A key, or what gives the one that holds now, asked before every request: a session's credential is renewed."""
IS_IT_RUNNING: Final = "; is `reflex serve` running there?"
ROUTES: Final = ("/act", "/config", "/health/live", "/health", "/metrics", "/openapi.json")
"""What a client asks for, or a person has looked at, behind the address of a server."""
NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""OpenSSL's words, old and new, for an answer in plain text."""


def checked_url(base_url: str, *, example: str = DEFAULT_URL, routes: Sequence[str] = ROUTES) -> str:
    """`base_url` without a trailing slash; `SetupError` unless it is the http or https URL of a server, not a route."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise SetupError(f"{base_url!r} is no URL: {exc}") from exc
    if url.scheme not in ("http", "https") or not url.host:
        raise SetupError(f"{base_url!r} is no server; write it like {example}")
    address = base_url.rstrip("/")
    path = url.path.rstrip("/")
    if route := next((route for route in routes if path.endswith(route)), None):
        raise SetupError(f"{base_url!r} names a route: give the server's address without {route}")
    return address


def checked_deadline_s(deadline_s: float) -> float:
    """`deadline_s`, or `SetupError` when no call could ever meet it."""
    if not deadline_s > 0:
        raise SetupError(f"deadline_s is {deadline_s}; it is the time that a whole call may take, in seconds, above 0")
    return float(deadline_s)


def session_arguments(base_url: str, headers: Mapping[str, str] | None, api_key: ApiKey | None) -> dict[str, Any]:
    """Arguments of both httpx clients."""
    # trust_env off: a proxy or a ~/.netrc meant for the web must not come between a robot and its server.
    own = {"User-Agent": f"reflex-act/{reflex.__version__}", "Accept-Encoding": "identity"}
    if isinstance(api_key, str):
        own["Authorization"] = f"Bearer {checked_key(api_key)}"
    auth = _asking_for(api_key) if callable(api_key) else None
    return {"base_url": base_url, "headers": own | dict(headers or {}), "auth": auth, "trust_env": False}


def _asking_for(key_now: Callable[[], str]) -> Callable[[httpx.Request], httpx.Request]:
    def with_key(request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Bearer {checked_key(key_now())}"
        return request

    return with_key


def checked_key(api_key: str) -> str:
    """`SetupError`, which repeats nothing of it, for what is no key: cut off, mistyped, or with a line end.

    A session's credential will do as well, where a server asks for one; the server says whether it is whole.
    """
    if not (is_well_formed(api_key) or is_like_one(api_key)):
        raise SetupError(
            "api_key is no key of Reflex, which begins with rfx_: copy it whole, as `reflex keys new` gave it"
        )
    return api_key


def tls_for(base_url: str) -> ssl.SSLContext | None:
    """The system's trust (and SSL_CERT_FILE) for https; None for http, because loading it takes 20 ms."""
    return httpx.create_ssl_context() if base_url.startswith("https") else None


def request_arguments(send: Send) -> dict[str, Any]:
    """Arguments of both clients' `request`."""
    return {
        "method": send.call.method,
        "url": send.call.path,
        "content": send.call.body,
        "headers": dict(send.headers),
        "timeout": send.timeout_s,
    }


class IncomingAnswer:
    """An answer while it is read: as much of it as a client wants to hold."""

    def __init__(self, response: httpx.Response, max_bytes: int) -> None:
        self._response = response
        self._max_bytes = max_bytes
        self._body = bytearray()
        encoding = response.headers.get("Content-Encoding", "identity")
        # Unasked for, and a few of its bytes may become gigabytes.
        self._problem = None if encoding == "identity" else "is compressed, which was not asked for"

    @property
    def is_wanted(self) -> bool:
        return self._problem is None

    def take(self, piece: bytes) -> bool:
        """False once no more is wanted."""
        self._body += piece
        if len(self._body) > self._max_bytes:
            self._problem = f"is longer than {self._max_bytes // 2**20} MiB"
        return self.is_wanted

    def whole(self) -> Answer:
        """`TransportError` when it is not one that a Reflex server gives; asking again would not help."""
        if self._problem is not None:
            raise TransportError(
                f"the answer {self._problem} and was dropped; check that the URL is that of a Reflex server, and any "
                "proxy in between"
            )
        return Answer(self._response.status_code, self._response.headers, bytes(self._body))


def _not_connected(base_url: str, error: httpx.ConnectError) -> str:
    if any(words in str(error) for words in NOT_TLS):
        return f"{base_url} cannot be reached by https: it speaks plain http: http{base_url.removeprefix('https')}"
    return f"{base_url} cannot be reached ({error}){IS_IT_RUNNING}"


@contextmanager
def transport_errors(base_url: str) -> Iterator[None]:
    """The one place where httpx's exceptions become ours."""
    try:
        yield
    except (httpx.TimeoutException, TimeoutError) as exc:
        raise ClientTimeoutError(f"{base_url} did not answer in time") from exc
    except httpx.ConnectError as exc:
        raise TransportError(_not_connected(base_url, exc)) from exc
    except httpx.RequestError as exc:
        raise TransportError(f"the connection to {base_url} broke before the whole answer came ({exc})") from exc
