"""The headers of the HTTP contract by name: which the server reads, which it sends, and which a web page may use."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACCEPT_HEADER",
    "ANSWER_HEADERS",
    "AUTHORIZATION_HEADER",
    "BROWSER_HEADERS",
    "CONTENT_ENCODING_HEADER",
    "CONTENT_LENGTH_HEADER",
    "CONTENT_TYPE_HEADER",
    "DEADLINE_HEADER",
    "EPISODE_HEADER",
    "HEADER_SAFE",
    "HOST_HEADER",
    "KEY_HEADER",
    "ORIGIN_HEADER",
    "PAGE_HEADERS",
    "READ_HEADERS",
    "RETRY_AFTER_HEADER",
    "ROUTING_HEADERS",
    "TRACEPARENT_HEADER",
    "raw_name",
]

ACCEPT_HEADER: Final = "Accept"
AUTHORIZATION_HEADER: Final = "Authorization"
CONTENT_ENCODING_HEADER: Final = "Content-Encoding"
CONTENT_LENGTH_HEADER: Final = "Content-Length"
CONTENT_TYPE_HEADER: Final = "Content-Type"
DEADLINE_HEADER: Final = "X-Reflex-Deadline-Ms"
EPISODE_HEADER: Final = "X-Reflex-Episode"
"""Sent by the clients and not read: a load balancer keeps an episode on one server by it."""
HOST_HEADER: Final = "Host"
KEY_HEADER: Final = "X-Reflex-Key"
ORIGIN_HEADER: Final = "Origin"
RETRY_AFTER_HEADER: Final = "Retry-After"
ROUTING_HEADERS: Final = (
    "X-Reflex-Policy-Slot",
    "X-Reflex-Model-Version",
    "X-Reflex-Routing-Key",
    "X-Reflex-Routing-Degraded",
)
"""On every answer of /act by a server with two policies."""
TRACEPARENT_HEADER: Final = "traceparent"

READ_HEADERS: Final = (
    ACCEPT_HEADER,
    AUTHORIZATION_HEADER,
    CONTENT_TYPE_HEADER,
    DEADLINE_HEADER,
    KEY_HEADER,
    CONTENT_ENCODING_HEADER,
    CONTENT_LENGTH_HEADER,
    HOST_HEADER,
    ORIGIN_HEADER,
    TRACEPARENT_HEADER,
)
"""What the server reads of a request. What is not here is not read."""
BROWSER_HEADERS: Final = (CONTENT_LENGTH_HEADER, HOST_HEADER, ORIGIN_HEADER)
"""No page can set these; a browser does (Fetch Standard, forbidden request-header names)."""
PAGE_HEADERS: Final = (*(name for name in READ_HEADERS if name not in BROWSER_HEADERS), EPISODE_HEADER)
"""What a web page may send, as a preflight is told: all that the server, or a load balancer before it, reads."""
ANSWER_HEADERS: Final = (RETRY_AFTER_HEADER, *ROUTING_HEADERS)
"""What an answer says beyond HTTP's own headers; a web page may read them."""

HEADER_SAFE: Final = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}"
"""Printable ASCII goes into a header as it is; `%` and everything beyond ASCII is percent-encoded."""


def raw_name(header: str) -> bytes:
    """The name as ASGI gives it: lower case, in bytes."""
    return header.lower().encode("ascii")
