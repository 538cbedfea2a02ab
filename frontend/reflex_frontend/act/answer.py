"""What leaves the frontend: the answer of /act, and the one error envelope. Never a traceback, a path or an echo."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, cast

import numpy as np
import orjson
from starlette.responses import Response

from reflex.errors import ServiceError
from reflex.guard import GuardResult
from reflex.policy_config import PolicyConfig
from reflex.wire import (
    RETRY_AFTER_HEADER,
    ActExecution,
    ActResult,
    ActTelemetry,
    Timing,
    error_envelope,
    retry_after_header,
)
from reflex.wire.arrays import Dialect, array_map
from reflex.wire.packing import pack

__all__ = [
    "JSON",
    "MSGPACK",
    "act_body",
    "act_result",
    "error_body",
    "error_headers",
    "error_response",
    "json_response",
    "packed_body",
    "whole_response",
]

JSON: Final = "application/json"
MSGPACK: Final = "application/msgpack"

_NOTHING: Final[ActTelemetry] = {}
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


def act_result(
    config: PolicyConfig,
    result: GuardResult,
    request_id: str,
    latency_ms: float,
    timing: Timing,
    telemetry: ActTelemetry = _NOTHING,
    *,
    inference_mode: str | None = None,
) -> ActResult:
    """The 200 of /act, field by field as in docs/http-api.md; `telemetry` are the fields of what is switched on.

    `inference_mode` is what the policy runs on here, where that is not what its export says.
    Its actions are a float32 array [num_actions, action_dim]: each transport writes them in its own way.
    """
    execution: ActExecution = {} if config.n_action_steps is None else {"n_action_steps": config.n_action_steps}
    return {
        "actions": cast("list[list[float]]", result.actions),
        "num_actions": config.horizon,
        "action_dim": config.action_dim,
        "latency_ms": round(latency_ms, 3),
        "hz": round(1000.0 / max(latency_ms, 0.001), 3),
        "denoising_steps": config.denoising_steps,
        "inference_mode": inference_mode or config.inference_mode,
        "guard_clamped": result.clamped,
        "guard_violations": [violation.as_dict() for violation in result.violations],
        "request_id": request_id,
        "model_version": config.model_version,
        "timing": timing,
        **execution,
        **telemetry,
    }


def act_body(answer: Mapping[str, object]) -> bytes:
    """As JSON, its array as lists; the same answer gives the same bytes."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def packed_body(answer: Mapping[str, object], dialect: Dialect) -> bytes:
    """As msgpack, its actions as one array in the caller's dialect."""
    return pack({**answer, "actions": array_map(np.asarray(answer["actions"], np.float32), dialect)})


def error_body(error: ServiceError) -> bytes:
    return orjson.dumps(error_envelope(error, str(uuid.uuid4())))


def error_headers(error: ServiceError) -> dict[str, str]:
    headers = {}
    if error.retry_after_s is not None:
        headers[RETRY_AFTER_HEADER.lower()] = retry_after_header(error.retry_after_s)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"  # RFC 9110, 11.6.1: every 401 has one
    return headers


def whole_response(error: ServiceError, *, close: bool, more: Mapping[str, str] = NO_HEADERS) -> bytes:
    """The error as it goes over the wire, for those who stand below ASGI; `more` are further headers."""
    body = error_body(error)
    headers = {"content-type": JSON, "content-length": str(len(body)), **error_headers(error), **more}
    if close:
        headers["connection"] = "close"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n{lines}\r\n".encode() + body


def error_response(error: ServiceError) -> Response:
    return Response(error_body(error), error.status, error_headers(error), JSON)


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, JSON)
