"""The header of a safetensors file: untrusted bytes to a table of where each tensor lies.

Format: 8 bytes little-endian header length, a JSON object `{name: {dtype, shape, data_offsets}}` with an optional
`__metadata__` of strings, then the tensors' bytes. As the format demands, the tensors fill the rest of the file without
gap or overlap; that is checked, so no view reaches bytes of another tensor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np

from reflex_export.errors import TensorFileError
from reflex_export.reading.files import unique_names

__all__ = ["DTYPES", "LENGTH_BYTES", "MAX_HEADER_BYTES", "Header", "TensorEntry", "header_length", "parse_header"]

LENGTH_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 100_000_000
"""The limit of the format's own library."""
MAX_DIMENSIONS: Final = 32
"""NumPy's limit."""

DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor: bytes [begin, end) of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file holds."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]


def header_length(prefix: bytes, file_bytes: int, origin: str) -> int:
    """The header's length from the file's first 8 bytes, checked against the file's size."""
    if len(prefix) < LENGTH_BYTES:
        raise _damaged(origin, f"it has only {len(prefix)} bytes")
    length = int.from_bytes(prefix[:LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        raise _damaged(origin, f"its header claims {length:,} bytes, more than the {MAX_HEADER_BYTES:,} allowed")
    if LENGTH_BYTES + length > file_bytes:
        raise _damaged(origin, f"its header claims {length:,} bytes, but the file has {file_bytes:,}; it is truncated")
    return length


def parse_header(text: bytes, file_bytes: int, origin: str) -> Header:
    """Parse the JSON part; every offset is checked against `file_bytes`, the whole file's size."""
    try:
        parsed = json.loads(text, object_pairs_hook=unique_names)
    except (ValueError, RecursionError) as exc:
        raise _damaged(origin, f"its header is no JSON: {exc}") from exc
    if not isinstance(parsed, dict):
        raise _damaged(origin, "its header is no JSON object")
    metadata = parsed.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(origin, "its __metadata__ must map strings to strings")
    data_begin = LENGTH_BYTES + len(text)
    tensors = {name: _entry(name, fields, data_begin, origin) for name, fields in parsed.items()}
    _check_cover(tensors, data_begin, file_bytes, origin)
    return Header(tensors, metadata)


def _entry(name: str, fields: object, data_begin: int, origin: str) -> TensorEntry:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(origin, f"{name!r:.200} must have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _damaged(origin, f"{name!r:.200} has the unknown type {dtype!r:.60}; known are {', '.join(DTYPES)}")
    # Of no elements at all, too, the other sides must be such as an array can have.
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS or math.prod(side or 1 for side in shape) >= 2**56:
        raise _damaged(origin, f"{name!r:.200} has the impossible shape {shape!r:.200}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _damaged(origin, f"{name!r:.200} has the impossible data_offsets {offsets!r:.200}")
    begin, end = offsets
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if end - begin != needed:
        raise _damaged(origin, f"{name!r:.200} of shape {shape} needs {needed:,} bytes, but has {end - begin:,}")
    return TensorEntry(dtype, tuple(shape), data_begin + begin, data_begin + end)


def _are_sizes(values: object) -> bool:
    """Whether it is a list of whole numbers that a file can have; JSON's true is no number here."""
    return isinstance(values, list) and all([type(value) is int and 0 <= value < 2**63 for value in values])  # noqa: C419 - twice as quick


def _check_cover(tensors: Mapping[str, TensorEntry], data_begin: int, file_bytes: int, origin: str) -> None:
    position = data_begin
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            what = "overlaps the tensor before it" if entry.begin < position else "leaves a gap before it"
            raise _damaged(origin, f"{name!r:.200} {what}")
        if entry.end > file_bytes:
            raise _damaged(origin, f"{name!r:.200} ends at byte {entry.end:,} of {file_bytes:,}; the file is truncated")
        position = entry.end
    if position != file_bytes:
        raise _damaged(origin, f"{file_bytes - position:,} bytes at its end belong to no tensor")


def _damaged(origin: str, why: str) -> TensorFileError:
    return TensorFileError(f"{origin} is no sound safetensors file: {why}. Fetch it again")
