"""What a request says of the chunk that is being executed; whether it fits the policy is checked against the policy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from reflex.errors import ServiceError, service_error
from reflex.wire import LARGEST_STATE, MAX_CHUNK_STEPS

__all__ = ["Rows", "parse_prev_actions", "parse_rows", "parse_steps"]

NUMBERS: Final = frozenset({int, float})

Rows = tuple[tuple[float, ...], ...]
"""[steps][axes]."""


def parse_steps(fields: Mapping[str, Any], name: str) -> int | None:
    """A number of actions; `ServiceError` wrong_type for anything else."""
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is float and value.is_integer():
        value = int(value)  # JSON has one kind of number: 7.0 is 7
    if type(value) is not int or not 0 <= value <= MAX_CHUNK_STEPS:
        raise _refusal("wrong_type", f"{name} must be a number of actions, 0 or more", name)
    return value


def parse_prev_actions(fields: Mapping[str, Any]) -> Rows | None:
    """The rest of a chunk, every number finite; `ServiceError` wrong_type or not_finite."""
    value = fields.get("prev_actions")
    if value is None:
        return None
    rows = parse_rows(value, "prev_actions")
    if fields.get("executed_steps") is not None:
        raise _refusal(
            "wrong_type", "send either prev_actions or executed_steps: the one says what the other does", "prev_actions"
        )
    return rows


def parse_rows(value: object, field: str) -> Rows:
    """Actions, every number finite; `ServiceError` wrong_type or not_finite."""
    if not isinstance(value, list) or len(value) > MAX_CHUNK_STEPS:
        raise _refusal("wrong_type", f"{field} must be an array of actions, each an array of numbers", field)
    return tuple(_row(row, step, field) for step, row in enumerate(value))


def _row(row: object, step: int, field: str) -> tuple[float, ...]:
    if not isinstance(row, list) or not NUMBERS.issuperset(map(type, row)):
        raise _refusal("wrong_type", f"{field}[{step}] must be an array of numbers", field)
    # The bounds say nothing of a NaN that is not the first; and what lies within them is never too large for isfinite.
    if row and not (-LARGEST_STATE <= min(row) <= max(row) <= LARGEST_STATE and all(map(math.isfinite, row))):
        raise _refusal("not_finite", f"{field}[{step}] must be finite, within ±1e9", field)
    return tuple(row)


def _refusal(code: str, message: str, field: str) -> ServiceError:
    return service_error(code, message, context={"field": field})
