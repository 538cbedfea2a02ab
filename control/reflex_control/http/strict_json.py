"""JSON of strangers: UTF-8, one object, no key twice, nothing that another reader would take for something else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from reflex.errors import ServiceError, service_error

__all__ = ["MAX_DEPTH", "read_object"]

MAX_DEPTH: Final = 32
LARGEST_INTEGER: Final = 2**63 - 1


def read_object(data: bytes) -> dict[str, Any]:
    """The object; `ServiceError` 400, which repeats nothing of it."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise _invalid(
            "the body must be JSON in UTF-8, with no key twice in an object, no NaN and no infinity"
        ) from exc
    if not isinstance(value, dict):
        raise service_error("wrong_type", "the body must be a JSON object", context={"field": "body"})
    _check(value, 1)
    return value


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _invalid(f"the body is nested more than {MAX_DEPTH} deep")
    for text in _texts(value):
        if "\0" in text or (not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)):
            raise _invalid("the body has a text with NUL or half a surrogate pair in it")
    if isinstance(value, float) and not math.isfinite(value):
        raise service_error("not_finite", "the body has a number that is too large")
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise service_error("not_finite", "the body has an integer of more than 64 bits")
    for part in _parts(value):
        _check(part, depth + 1)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("no number")


def _invalid(message: str) -> ServiceError:
    return service_error("invalid_json", message)
