"""Small files of a checkpoint: read with a bound, parsed strictly, named safely."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from reflex_export.errors import CheckpointError, SourceError

__all__ = ["MAX_JSON_BYTES", "MAX_TOKENIZER_BYTES", "parse_object", "plain_name", "read_object", "read_text", "typed"]

MAX_JSON_BYTES: Final = 32 * 2**20
"""The index of a checkpoint with 100,000 tensors has 10 MB."""
MAX_TOKENIZER_BYTES: Final = 128 * 2**20
"""The largest vocabulary in use (262,144 pieces) takes 33 MB."""

T = TypeVar("T")


def read_text(path: Path, *, limit: int = MAX_JSON_BYTES) -> str:
    """The file's text; `SourceError` when it is absent, too long or no UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as exc:
        raise SourceError(f"{path} cannot be read ({exc.strerror}); is the checkpoint complete?") from exc
    if len(content) > limit:
        raise SourceError(f"{path} is longer than {limit:,} bytes, so it is not the file that its name says")
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise SourceError(f"{path} is no UTF-8 text; fetch the checkpoint again") from exc


def read_object(path: Path) -> Mapping[str, Any]:
    """The JSON object in the file."""
    return parse_object(read_text(path), str(path))


def parse_object(text: str, origin: str) -> Mapping[str, Any]:
    """A JSON object; `CheckpointError` names `origin` when it is none."""
    try:
        parsed = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as exc:
        raise CheckpointError(f"{origin} is no JSON ({exc}); fetch the checkpoint again") from exc
    if not isinstance(parsed, dict):
        raise CheckpointError(f"{origin} must hold a JSON object; fetch the checkpoint again")
    return parsed


def _finite(text: str) -> float:
    """NaN and Infinity are no JSON, and 1e999 would be read as infinity."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


def typed(values: Mapping[str, Any], key: str, kind: type[T], origin: str, *, default: T | None = None) -> T:
    """`values[key]` if it is of that type; a null or absent one is the default, an error without a default."""
    value = values.get(key)
    if value is None:
        value = default
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = "absent" if value is None else f"{value!r:.60}"
        raise CheckpointError(f"{origin}: {key} must be of type {kind.__name__}, but is {found}")
    return value


def plain_name(name: str, *, suffix: str, origin: str) -> str:
    """A file's name from inside a checkpoint, which must not lead out of its folder."""
    if not name.endswith(suffix) or name.startswith(".") or any(bad in name for bad in ("/", "\\", "\0", ":")):
        raise CheckpointError(
            f"{origin} names the file {name!r:.200}, which is no plain *{suffix} name inside the checkpoint's folder; "
            "nothing outside that folder is read. Do not trust this checkpoint"
        )
    return name
