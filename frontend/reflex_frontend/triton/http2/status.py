"""How a call ended, in gRPC's words (grpc/doc: statuscodes.md, http-grpc-status-mapping.md, PROTOCOL-HTTP2.md)."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

import grpc
import grpc.aio

from reflex_frontend.triton.http2.fields import Fields

__all__ = ["call_error", "of_fields", "of_reset"]

CODES: Final = {str(code.value[0]): code for code in grpc.StatusCode}
OF_HTTP: Final = {
    "400": grpc.StatusCode.INTERNAL, "401": grpc.StatusCode.UNAUTHENTICATED, "403": grpc.StatusCode.PERMISSION_DENIED,
    "404": grpc.StatusCode.UNIMPLEMENTED, "429": grpc.StatusCode.UNAVAILABLE, "502": grpc.StatusCode.UNAVAILABLE,
    "503": grpc.StatusCode.UNAVAILABLE, "504": grpc.StatusCode.UNAVAILABLE,
}  # fmt: skip
"""What stands between us and Triton, and has no gRPC."""
OF_RESET: Final = {
    0x7: grpc.StatusCode.UNAVAILABLE,  # REFUSED_STREAM
    0x8: grpc.StatusCode.CANCELLED,  # CANCEL
    0xB: grpc.StatusCode.RESOURCE_EXHAUSTED,  # ENHANCE_YOUR_CALM
    0xC: grpc.StatusCode.PERMISSION_DENIED,  # INADEQUATE_SECURITY
}
"""RST_STREAM's error codes of RFC 9113, section 7; any other is INTERNAL."""


def call_error(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    """The error that gRPC's own client raises for such a call."""
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, nothing, nothing, details=details)


def of_fields(fields: Fields) -> grpc.aio.AioRpcError | None:
    """How a call ended whose last header fields these are; None when it went well."""
    told = fields.get("grpc-status", "")
    if not told:
        http = fields.get(":status", "none")
        return call_error(OF_HTTP.get(http, grpc.StatusCode.UNKNOWN), f"an answer without a gRPC status, HTTP {http}")
    code = CODES.get(told, grpc.StatusCode.UNKNOWN)
    return None if code is grpc.StatusCode.OK else call_error(code, unquote(fields.get("grpc-message", "")))


def of_reset(error: int) -> grpc.aio.AioRpcError:
    """How a call ended that the other side reset."""
    return call_error(
        OF_RESET.get(error, grpc.StatusCode.INTERNAL), f"the other side ended the call with error {error}"
    )
