"""The HTTP contract as both ends see it: header names, answers as typed mappings, errors to and from their envelope.

Everything here is pure. The server writes an error with `error_envelope`, the client reads it back with
`error_from_answer`, and both get the same `ServiceError`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, Literal, NotRequired, TypedDict

from reflex.errors import ServiceError, TransportError, service_error

__all__ = [
    "DEADLINE_HEADER",
    "DEFAULT_DEADLINE_MS",
    "EPISODE_HEADER",
    "HEADER_SAFE",
    "MAX_DEADLINE_MS",
    "MIN_DEADLINE_MS",
    "RETRY_AFTER_HEADER",
    "ActResult",
    "GuardViolation",
    "HealthReport",
    "SlotName",
    "Timing",
    "error_envelope",
    "error_from_answer",
    "parse_act_result",
    "parse_health",
    "parse_object",
    "retry_after_header",
]

DEADLINE_HEADER: Final = "X-Reflex-Deadline-Ms"
EPISODE_HEADER: Final = "X-Reflex-Episode"
HEADER_SAFE: Final = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}"
"""Printable ASCII goes into a header as it is; `%` and everything beyond ASCII is percent-encoded."""
RETRY_AFTER_HEADER: Final = "Retry-After"
MIN_DEADLINE_MS: Final = 1
DEFAULT_DEADLINE_MS: Final = 1_000
MAX_DEADLINE_MS: Final = 10_000

SlotName = Literal["a", "b"]
"""Where one of two policies is loaded."""

_ENVELOPE_FIELDS: Final = frozenset({"error", "message", "request_id", "retry_after_s"})


class Timing(TypedDict):
    """Where the time of one request went."""

    decode_ms: float
    queue_ms: float
    infer_ms: float
    guard_ms: float


class GuardViolation(TypedDict):
    """One action value that the guard changed, in robot units."""

    step: int
    axis: int
    name: str
    value: float
    limit: float
    kind: str


class ActResult(TypedDict):
    """A 200 of `POST /act`. Newer servers may send further fields; they stay in the mapping."""

    actions: list[list[float]]
    """[num_actions][action_dim], finite, robot units."""
    request_id: str
    num_actions: int
    action_dim: int
    latency_ms: float
    """Receipt of the request to its response, in the server."""
    hz: float
    denoising_steps: int
    inference_mode: str
    guard_clamped: bool
    guard_violations: list[GuardViolation]
    timing: NotRequired[Timing]


class HealthReport(TypedDict):
    """`GET /health`; `reason` is there when the server is not ready."""

    status: str
    """`warming`, `ready` or `degraded`."""
    model_loaded: NotRequired[bool]
    model_version: NotRequired[str | None]
    inference_mode: NotRequired[str | None]
    uptime_seconds: NotRequired[float]
    robot_id: NotRequired[str | None]
    cuda_graphs_active: NotRequired[bool]
    reason: NotRequired[str]


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


def parse_act_result(body: bytes, request_id: str) -> ActResult:
    """Read a 200 of `/act`; `TransportError` unless it is a finite chunk that answers `request_id`."""
    answer = parse_object(body)
    if answer.setdefault("request_id", request_id) != request_id:
        raise TransportError("the answer belongs to another request and was dropped; check any proxy in between")
    if not _is_finite_chunk(answer.get("actions")):
        raise TransportError("the answer carries no finite action chunk and was dropped; is this a Reflex server?")
    result: ActResult = answer  # type: ignore[assignment]  # its one field that moves a motor is checked above
    return result


def parse_health(body: bytes) -> HealthReport | None:
    """Read the body of `/health`; None when it is something else."""
    try:
        answer = parse_object(body)
    except TransportError:
        return None
    report: HealthReport = answer  # type: ignore[assignment]  # every field but `status` is optional
    return report if isinstance(answer.get("status"), str) else None


def parse_object(body: bytes) -> dict[str, Any]:
    """Read one JSON object; `TransportError` when it is anything else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise TransportError("the answer is not JSON; check that the URL is that of a Reflex server") from exc
    if not isinstance(answer, dict):
        raise TransportError("the answer is not a JSON object; check that the URL is that of a Reflex server")
    return answer


def _is_finite_chunk(actions: object) -> bool:
    if not isinstance(actions, list) or not actions:
        return False
    return all(isinstance(step, list) and step and all(_is_finite(value) for value in step) for step in actions)


def _is_finite(value: object) -> bool:
    # Exact types: a bool is an int to isinstance, and JSON's `true` is no action.
    return (type(value) is float and math.isfinite(value)) or type(value) is int


def _seconds(value: object) -> float | None:
    """A wait, or None; the date form of the header needs two clocks that agree, so it counts as unknown."""
    if not isinstance(value, str | int | float):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
