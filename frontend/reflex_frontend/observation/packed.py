"""Untrusted msgpack in, the fields of an observation out: `parse_packed` reads bodies of `/act`, and is fuzzed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from reflex.wire import MAX_NUMBERS
from reflex.wire.arrays import Dialect, read_arrays
from reflex.wire.packing import unpack
from reflex_frontend.observation.request import ActRequest, parse_fields, refuse

__all__ = ["parse_packed", "parse_unpacked", "plain_fields", "unpacked"]

IMAGES: Final = frozenset({"image", "image_b64", "images"})


def unpacked(body: bytes | bytearray) -> tuple[dict[str, Any], Dialect | None]:
    """The fields of one map, with arrays of numpy in it, and the dialect in which it has them.

    Raises `ServiceError` invalid_msgpack or wrong_type.
    """
    try:
        fields, dialect = read_arrays(unpack(body))
    except ValueError as exc:
        raise refuse("invalid_msgpack", str(exc)) from None
    if type(fields) is not dict:
        raise refuse("wrong_type", "the body must be a map of msgpack", field="body")
    return fields, dialect


def parse_packed(body: bytes | bytearray) -> tuple[ActRequest, Dialect | None]:
    """`parse_act` for msgpack: images may be bytes and uint8 arrays, and numbers arrays too. Raises like it."""
    fields, dialect = unpacked(body)
    return parse_unpacked(fields), dialect


def parse_unpacked(fields: Mapping[str, Any]) -> ActRequest:
    """`parse_packed` of fields that are unpacked already."""
    return parse_fields(plain_fields(fields))


def plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """With lists in place of arrays of numbers; raises `ServiceError` wrong_type for more of them than may be."""
    return {name: _as_json(name, value) for name, value in fields.items()}


def _as_json(name: str, value: object) -> object:
    """Arrays of numbers as the lists that JSON has; those of pixels stay what they are."""
    if name in IMAGES or not isinstance(value, np.ndarray):
        return value
    if value.size > MAX_NUMBERS:
        raise refuse("wrong_type", f"{name} has too many numbers", field=name)
    return value.tolist()
