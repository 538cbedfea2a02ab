"""What leaves the control plane: JSON, and the one error envelope. Never a traceback, a path or an echo."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson
from starlette.responses import Response

from reflex.errors import ServiceError
from reflex.wire import RETRY_AFTER_HEADER, error_envelope, retry_after_header

__all__ = ["JSON", "error_response", "json_response", "whole_refusal"]

JSON: Final = "application/json"
UNAUTHORIZED: Final = 401
NEVER_STORED: Final = {"cache-control": "no-store"}
"""An answer may hold a key."""


def json_response(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, NEVER_STORED, media_type=JSON)


def error_response(
    error: ServiceError, request_id: str | None = None, before: Mapping[str, Any] = MappingProxyType({})
) -> Response:
    """A 401 says how to ask, and what may be tried again when; the fields `before` come first."""
    headers = dict(NEVER_STORED)
    if error.retry_after_s is not None:
        headers[RETRY_AFTER_HEADER] = retry_after_header(error.retry_after_s)
    if error.status == UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    body = orjson.dumps({**before, **error_envelope(error, request_id or str(uuid.uuid4()))})
    return Response(body, error.status, headers, media_type=JSON)


def whole_refusal(error: ServiceError, status_line: bytes) -> bytes:
    """An answer to what is no HTTP, byte for byte; the connection is closed after it."""
    response = error_response(error)
    response.headers["connection"] = "close"
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
    return status_line + lines + b"\r\n" + bytes(response.body)
