"""The one form of every error answer, written by the server and read back by the client as the same `ServiceError`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from reflex.errors import ServiceError, TransportError, service_error
from reflex.wire.headers import RETRY_AFTER_HEADER
from reflex.wire.reading import parse_object

__all__ = ["error_envelope", "error_from_answer", "retry_after_header"]

_ENVELOPE_FIELDS: Final = frozenset({"error", "message", "request_id", "retry_after_s"})


def error_envelope(error: ServiceError, request_id: str | None = None) -> dict[str, Any]:
    """The flat object of an error answer; its own fields win over a context field of the same name."""
    envelope: dict[str, Any] = dict(error.context)
    if error.retry_after_s is not None:
        envelope["retry_after_s"] = round(error.retry_after_s, 3)
    envelope |= {"error": error.code, "message": error.message, "request_id": error.request_id or request_id}
    return envelope


def retry_after_header(seconds: float) -> str:
    """Whole seconds, as RFC 9110 wants them; the exact figure is `retry_after_s` in the envelope."""
    return str(max(1, math.ceil(seconds)))


def error_from_answer(status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
    """Rebuild the server's error. `headers` must be case-insensitive, or spell `Retry-After` as here.

    The envelope's `retry_after_s` is exact and wins over the header's whole seconds: one is all that most calls have.
    A body that is no envelope (a proxy's page, another server) becomes the code `http_<status>`.
    """
    retry_after_s = _seconds(headers.get(RETRY_AFTER_HEADER))
    try:
        envelope = parse_object(body)
        code, message = envelope["error"], envelope["message"]
    except (TransportError, KeyError):
        code = message = None
    if not isinstance(code, str) or not isinstance(message, str):
        message = f"the answer with status {status} is not Reflex's; check the URL, and any proxy in between"
        return service_error(f"http_{status}", message, status=status, retry_after_s=retry_after_s)
    request_id, exact_s = envelope.get("request_id"), _seconds(envelope.get("retry_after_s"))
    return service_error(
        code,
        message,
        status=status,
        request_id=request_id if isinstance(request_id, str) else None,
        retry_after_s=retry_after_s if exact_s is None else exact_s,
        context={key: value for key, value in envelope.items() if key not in _ENVELOPE_FIELDS},
    )


def _seconds(value: object) -> float | None:
    """A wait, or None; the date form of the header needs two clocks that agree, so it counts as unknown."""
    if not isinstance(value, str | int | float):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
