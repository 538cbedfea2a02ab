"""Arrays of numpy in msgpack, in the dialects that robots' programs write, each read and written as its own.

    openpi-client   {b"__ndarray__": true, b"dtype", b"shape", b"data"}, a scalar as {b"__npgeneric__": true, ...}
    msgpack-numpy   {b"nd": true, b"type", b"kind", b"shape", b"data"}, a scalar with b"nd": false

Each also comes with keys that are text. What is read is untrusted: element types are looked up in a table, a shape must
account for every byte of the data, and nothing is copied. Arrays of objects are refused: nothing is unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from reflex.wire.limits import MAX_BODY_BYTES

__all__ = ["OPENPI_CLIENT", "PLAIN", "Array", "Dialect", "array_map", "read_arrays"]

Array = npt.NDArray[Any]
Marker = Literal["__ndarray__", "nd"]

MAX_DIMENSIONS: Final = 8
ELEMENTS: Final = ("?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    name: dtype
    for element in ELEMENTS
    for order in ("<", ">")
    for dtype in (np.dtype(order + element),)
    for name in ({dtype.str, dtype.name} if order == "<" else {dtype.str})
}
"""By what is written: `<f4` and `>f4` as they are, `float32` as little endian."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one caller writes arrays."""

    marker: Marker
    has_byte_keys: bool


PLAIN: Final = Dialect("__ndarray__", has_byte_keys=False)
"""What is easiest to read in any language: for callers that have shown no dialect of their own."""
OPENPI_CLIENT: Final = Dialect("__ndarray__", has_byte_keys=True)

MARKED: Final[tuple[tuple[str, Marker], ...]] = (
    ("__ndarray__", "__ndarray__"),
    ("__npgeneric__", "__ndarray__"),
    ("nd", "nd"),
)
DIALECTS: Final[Mapping[str | bytes, Dialect]] = {
    key: Dialect(marker, has_byte_keys=isinstance(key, bytes))
    for name, marker in MARKED
    for key in (name, name.encode())
}
"""By the key that marks an array or a scalar."""


def read_arrays(value: Any) -> tuple[Any, Dialect | None]:  # noqa: ANN401 - whatever was written
    """The value with arrays in the place of their maps, scalars as Python's, and the dialect of the first of them.

    Every other map must have text as its keys. Raises `ValueError` with a sentence for the sender. Arrays are
    read-only.
    """
    seen: list[Dialect] = []
    return _read(value, seen), (seen[0] if seen else None)


def array_map(array: Array, dialect: Dialect) -> Mapping[str | bytes, object]:
    """An array as its map, ready to be packed."""
    fields: dict[str, object] = {dialect.marker: True}
    if dialect.marker == "nd":
        kind: object = b"" if dialect.has_byte_keys else ""
        fields |= {"type": array.dtype.str, "kind": kind}
    else:
        fields["dtype"] = array.dtype.str
    fields |= {"shape": array.shape, "data": array.tobytes()}
    return {name.encode() if dialect.has_byte_keys else name: value for name, value in fields.items()}


def _read(value: Any, seen: list[Dialect]) -> Any:  # noqa: ANN401 - whatever was written
    if type(value) is list:
        return [_read(item, seen) for item in value]
    if type(value) is not dict:
        return value
    dialect = next((DIALECTS[key] for key in value if key in DIALECTS), None)
    if dialect is not None:
        seen.append(dialect)
        return _of_map({_text(key): item for key, item in value.items()})
    if any(type(key) is not str for key in value):
        raise ValueError("the keys of a msgpack map must be text, not bytes, unless it is an array of numpy")
    return {key: _read(item, seen) for key, item in value.items()}


def _text(key: str | bytes) -> str:
    return key.decode("latin-1") if type(key) is bytes else str(key)


def _of_map(fields: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an array, or a number
    dtype = _dtype_of(fields)
    if "__npgeneric__" in fields:
        return _generic(fields.get("data"))
    data = fields.get("data")
    if type(data) is not bytes:
        raise ValueError("the data of an array in msgpack must be bytes")
    shape = () if fields.get("nd") is False else _shape_of(fields.get("shape"))
    if math.prod(shape) * dtype.itemsize != len(data) or math.prod(n or 1 for n in shape) > MAX_BODY_BYTES:
        raise ValueError(f"an array in msgpack has {len(data)} bytes, which its shape and dtype do not account for")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array if shape or "nd" not in fields else array.item()


def _dtype_of(fields: Mapping[str, Any]) -> np.dtype[Any]:
    if fields.get("kind") not in (None, "", b""):
        raise ValueError("arrays of objects and structures are not taken; send numbers")
    given = fields.get("type" if "nd" in fields else "dtype")
    written = _text(given) if isinstance(given, (str, bytes)) else None
    dtype = DTYPES.get(written) if written is not None else None
    if dtype is None and "__npgeneric__" in fields and written is not None:
        return DTYPES["|u1"]  # a scalar says its value; its type does not matter
    if dtype is None:
        raise ValueError("an array in msgpack must be of bool, int, uint or float of 1 to 8 bytes, like <f4 or |u1")
    return dtype


def _shape_of(shape: object) -> tuple[int, ...]:
    if type(shape) is not list or len(shape) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"the shape of an array in msgpack must be a list of at most {MAX_DIMENSIONS} lengths")
    return tuple(shape)


def _generic(data: object) -> object:
    if type(data) not in (bool, int, float, str):
        raise ValueError("a scalar of numpy in msgpack must be a number, a truth value or text")
    return data
