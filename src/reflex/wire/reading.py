"""Reading the server's answers: a chunk is checked, and what is no answer of Reflex is a `TransportError`."""

from __future__ import annotations

import json
import math
from typing import Any

from reflex.errors import TransportError
from reflex.wire.answers import ActResult, HealthReport

__all__ = ["parse_act_result", "parse_health", "parse_object"]


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
