"""Small float32 tensors in the safetensors format: a length, a JSON header, and the numbers, little-endian."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "tensors_from_bytes", "tensors_to_bytes"]

Array = npt.NDArray[np.float32]

LENGTH_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 64 * 1024
FLOAT_BYTES: Final = 4
METADATA: Final = "__metadata__"


def tensors_to_bytes(tensors: Mapping[str, Array]) -> bytes:
    """The same tensors always give the same bytes."""
    header: dict[str, object] = {}
    offset = 0
    for name, tensor in sorted(tensors.items()):
        size = tensor.size * FLOAT_BYTES
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % LENGTH_BYTES)
    numbers = [np.ascontiguousarray(tensor, "<f4").tobytes() for _, tensor in sorted(tensors.items())]
    return b"".join((len(text).to_bytes(LENGTH_BYTES, "little"), text, *numbers))


def tensors_from_bytes(content: bytes) -> dict[str, Array]:
    """Raises `ValueError`, which says what is wrong, for anything but whole, finite float32 tensors."""
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if not 0 < length <= min(MAX_HEADER_BYTES, len(content) - LENGTH_BYTES):
        raise ValueError("its header is not whole")
    try:
        header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])
    except (ValueError, RecursionError) as exc:
        raise ValueError("its header is no JSON") from exc
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    numbers = content[LENGTH_BYTES + length :]
    return {name: _tensor(name, entry, numbers) for name, entry in header.items() if name != METADATA}


def _tensor(name: str, entry: Any, numbers: bytes) -> Array:  # noqa: ANN401 - JSON
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        sizes = [*shape, begin, end]
    except (TypeError, KeyError, ValueError) as exc:
        raise ValueError(f"{name} has no dtype, shape and data_offsets") from exc
    if dtype != "F32":
        raise ValueError(f"{name} is not F32")
    if any(type(size) is not int or size < 0 for size in sizes) or end > len(numbers):
        raise ValueError(f"{name} lies outside of the file")
    if end - begin != math.prod(shape) * FLOAT_BYTES:
        raise ValueError(f"{name} has another size than its shape")
    tensor = np.frombuffer(numbers[begin:end], "<f4").astype(np.float32).reshape(shape)
    if not np.isfinite(tensor).all():
        raise ValueError(f"{name} is not finite")
    return tensor
