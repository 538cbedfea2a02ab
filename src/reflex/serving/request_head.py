"""What a server here reads of a request's head: that it is HTTP/1.1 for this host, and no other protocol."""

from __future__ import annotations

import re
from typing import Final, Protocol

__all__ = ["Offers", "RequestHead", "path_of", "problem_of"]

UPGRADE: Final = b"\r\nupgrade:"
UPGRADE_HEADER: Final = re.compile(rb"(\r\nupgrade):", re.IGNORECASE)
ABSOLUTE_TARGET: Final = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)


class RequestHead(Protocol):
    """What a parser knows of a request when its headers are in."""

    def get_method(self) -> bytes: ...
    def get_http_version(self) -> str: ...
    def should_upgrade(self) -> bool: ...


class Offers:
    """Offers of another protocol, which a server may leave unheard (RFC 9110, 7.8).

    Java's HttpClient and `curl --http2` offer h2c with every plain request; the parser would take what follows the
    headers for another protocol.
    """

    def __init__(self) -> None:
        self._before = b""
        """The last bytes of the headers, for a name that two reads cut in two; never a whole one with its colon."""

    def unheard(self, headers: bytes) -> bytes:
        """The next bytes of a request's headers, in which `upgrade` has become a name that nobody reads."""
        seen, known = self._before + headers, len(self._before)
        self._before = seen[1 - len(UPGRADE) :]
        return UPGRADE_HEADER.sub(rb"\1-:", seen)[known:] if UPGRADE in seen.lower() else headers


def problem_of(head: RequestHead, target: bytes, host: bytes) -> str | None:
    """What is wrong with a request whose headers could be read; `host` is the one that they name."""
    if head.get_method() == b"CONNECT":
        return "this server is no proxy; ask it for a path, like /health"
    if head.should_upgrade():
        # The parser takes what follows for another protocol: the body would be lost, or read as a request.
        return "send the request without an Upgrade header"
    if head.get_http_version() not in ("1.0", "1.1"):
        return "send the request as HTTP/1.1"
    if not target.startswith(b"/") and target != b"*":
        found = ABSOLUTE_TARGET.match(target)
        if found is None or found[1].lower() != host.lower():
            return "ask for a path, like /health, or for a URL of the host that the Host header names"
    return None


def path_of(target: bytes) -> bytes:
    """The path and what follows it, of a path or of a whole URL."""
    path = ABSOLUTE_TARGET.sub(b"", target, count=1) if target[:1] != b"/" else target
    return path if path[:1] in (b"/", b"*") else b"/" + path
