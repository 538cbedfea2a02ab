"""Reading the server's answers: a chunk is checked, and what is no answer of Reflex is a `TransportError`."""

from __future__ import annotations

import json
import math
import sys
from typing import Any, Final

from reflex.errors import TransportError
from reflex.wire.answers import ActResult, CorrectResult, HealthReport

__all__ = ["parse_act_result", "parse_correct_result", "parse_health", "parse_object"]

COUNTS: Final = ("num_actions", "action_dim")
LARGEST_FLOAT: Final = int(sys.float_info.max)
FLOATS: Final = frozenset({float})


def parse_act_result(body: bytes, request_id: str) -> ActResult:
    """Read a 200 of `/act`; `TransportError` unless it is a finite chunk that answers `request_id`."""
    result: ActResult = _chunk_answer(body, request_id)  # type: ignore[assignment]  # what moves a motor is checked
    return result


def parse_correct_result(body: bytes, request_id: str, steps: int) -> CorrectResult:
    """Read a 200 of `/act/correct`; `TransportError` unless it is a finite chunk of as many steps as were sent."""
    answer = _chunk_answer(body, request_id)
    if len(answer["actions"]) != steps:
        raise TransportError(f"the answer has other than the {steps} actions that were sent, and was dropped")
    result: CorrectResult = answer  # type: ignore[assignment]  # likewise
    return result


def _chunk_answer(body: bytes, request_id: str) -> dict[str, Any]:
    answer = parse_object(body)
    if answer.setdefault("request_id", request_id) != request_id:
        raise TransportError("the answer belongs to another request and was dropped; check any proxy in between")
    shape = _shape_of_finite_chunk(answer.get("actions"))
    if shape is None:
        raise TransportError("the answer carries no finite action chunk and was dropped; is this a Reflex server?")
    counts = tuple(answer.setdefault(name, count) for name, count in zip(COUNTS, shape, strict=True))
    if counts != shape or bool in map(type, counts):
        raise TransportError(
            f"the answer's chunk is {shape[0]} x {shape[1]}, which its {' and '.join(COUNTS)} deny, and was dropped; "
            "check any proxy in between"
        )
    return answer


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


def _shape_of_finite_chunk(actions: object) -> tuple[int, int] | None:
    """(num_actions, action_dim); None when it is anything else than steps of equally many finite numbers."""
    if not isinstance(actions, list) or not actions:
        return None
    if not all(isinstance(step, list) and step and _are_finite(step) for step in actions):
        return None
    lengths = {len(step) for step in actions}
    return (len(actions), lengths.pop()) if len(lengths) == 1 else None


def _are_finite(step: list[Any]) -> bool:
    if FLOATS.issuperset(map(type, step)):
        return all(map(math.isfinite, step))
    return all(map(_is_finite, step))


def _is_finite(value: object) -> bool:
    # Exact types: a bool is an int to isinstance, and JSON's `true` is no action.
    if type(value) is int:
        return -LARGEST_FLOAT <= value <= LARGEST_FLOAT
    return type(value) is float and math.isfinite(value)
