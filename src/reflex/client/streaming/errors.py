"""What can go wrong with a stream, below the classes of `reflex.errors`.

ClientTimeoutError
└── RecvTimeoutError   no chunk came in time; says what is known of the connection
UnauthorizedError
└── StreamKeyError     401 or 403 when it was opened: the key, or the session, is none
InvalidRequestError
└── StreamUrlError     404 when it was opened: no stream lies at this URL
RateLimitedError
└── StreamRateError    429 when it was opened: over a rate limit
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypedDict

from reflex.errors import ClientTimeoutError, InvalidRequestError, RateLimitedError, ServiceError, UnauthorizedError

__all__ = ["OpenTiming", "RecvTimeoutError", "StreamKeyError", "StreamRateError", "StreamUrlError", "at_opening"]


class OpenTiming(TypedDict, total=False):
    """Where the time of the last opening went, in milliseconds; what was not reached is absent."""

    dns_ms: float
    tcp_ms: float
    tls_ms: float
    upgrade_ms: float
    first_message_ms: float


class RecvTimeoutError(ClientTimeoutError):
    """No chunk came in time.

    `is_answered` says whether any answer came since the connection was opened, `is_alive` that no ping is unanswered,
    and `open_timing` where the time of opening it went.
    """

    code = "recv_timeout"

    def __init__(
        self,
        message: str,
        *,
        is_answered: bool = False,
        is_alive: bool = False,
        open_timing: OpenTiming | None = None,
    ) -> None:
        super().__init__(message)
        self.is_answered = is_answered
        self.is_alive = is_alive
        self.open_timing: OpenTiming = open_timing or {}


class StreamKeyError(UnauthorizedError):
    """The server wants a key, or a session's credential, and this is none."""

    code = "stream_key"


class StreamUrlError(InvalidRequestError):
    """Nothing at this address takes streams."""

    code = "stream_url"


class StreamRateError(RateLimitedError):
    """The key's own limit, or a proxy's."""

    code = "stream_rate"


KINDS: Final[Mapping[int, tuple[type[ServiceError], str]]] = {
    401: (StreamKeyError, "check the API key"),
    403: (StreamKeyError, "check the API key"),
    404: (StreamUrlError, "check the URL, or leave it out"),
    429: (StreamRateError, "wait, and open again"),
}


def at_opening(error: ServiceError) -> ServiceError:
    """The error of a refused opening by its own type, where it has one, with what to do."""
    kind, advice = KINDS.get(error.status, (None, ""))
    if kind is None:
        return error
    return kind(
        error.code,
        f"{error.message} ({advice})",
        status=error.status,
        request_id=error.request_id,
        retry_after_s=error.retry_after_s,
        context=error.context,
    )
