"""Small files of a checkpoint: read with a bound, parsed strictly, named safely."""

from __future__ import annotations

import errno
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from reflex_export.errors import CheckpointError, SourceError

__all__ = [
    "MAX_JSON_BYTES",
    "MAX_TOKENIZER_BYTES",
    "at_home",
    "is_file",
    "is_folder",
    "parse_object",
    "plain_name",
    "read_object",
    "read_text",
    "typed",
    "unique_names",
]

MAX_JSON_BYTES: Final = 32 * 2**20
"""The index of a checkpoint with 100,000 tensors has 10 MB."""
POINTER_BEGIN: Final = b"version http"
"""Of the few lines that git-LFS leaves in place of a large file: the address of their own format."""
MAX_TOKENIZER_BYTES: Final = 128 * 2**20
"""The largest vocabulary in use (262,144 pieces) takes 33 MB."""

HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
"""Of a pair that makes one character. What stands alone cannot be written to any file."""

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
    refuse_pointer(content, path)
    try:
        return content.decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as exc:
        raise SourceError(f"{path} is no UTF-8 text; fetch the checkpoint again") from exc


def is_file(path: Path) -> bool:
    """Not, for a name that is longer than any file can have; a checkpoint may name anything."""
    return _holds(path.is_file)


def is_folder(path: Path) -> bool:
    """As `is_file`."""
    return _holds(path.is_dir)


def at_home(name: str | Path) -> Path:
    """`~` is this machine's; the home of somebody whom it does not know is no place here."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def refuse_pointer(begin: bytes, path: Path) -> None:
    """`SourceError` for what git leaves in place of a large file."""
    if begin.startswith(POINTER_BEGIN):
        raise SourceError(
            f"{path} is not the file itself but git-LFS's pointer to it: run `git lfs pull` in its folder, or fetch it "
            "with `hf download`"
        )


def read_object(path: Path) -> Mapping[str, Any]:
    """The JSON object in the file."""
    return parse_object(read_text(path), str(path))


def parse_object(text: str, origin: str) -> Mapping[str, Any]:
    """A JSON object; `CheckpointError` names `origin` when it is none, or one that can be read in two ways."""
    hooks: Mapping[str, Any] = {"parse_float": _finite, "parse_constant": _finite, "parse_int": _whole}
    try:
        parsed = json.loads(text, object_pairs_hook=unique_names, **hooks)
    except (json.JSONDecodeError, RecursionError) as exc:
        raise CheckpointError(f"{origin} is no JSON ({exc}); fetch the checkpoint again") from exc
    except ValueError as exc:
        raise CheckpointError(f"{origin}: {exc}; correct it, or fetch the checkpoint again") from exc
    if not isinstance(parsed, dict):
        raise CheckpointError(f"{origin} must hold a JSON object; fetch the checkpoint again")
    if HALF.search(text) and not _is_text(parsed):
        raise CheckpointError(f"{origin} holds half a character (\\ud800 or one like it); correct it")
    return parsed


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of these; `ValueError` for a name that is there twice, of which parsers keep the last one only."""
    unique = dict(pairs)
    if len(unique) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the name {twice!r:.200} occurs twice")
    return unique


def _finite(text: str) -> float:
    """NaN and Infinity are no JSON, and 1e999 would be read as infinity."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text:.60} is no finite number")
    return number


def _whole(text: str) -> int:
    """Nothing here counts further than a float reaches, and arithmetic with larger ones fails."""
    _finite(text)
    return int(text)


def typed(values: Mapping[str, Any], key: str, kind: type[T], origin: str, *, default: T | None = None) -> T:
    """`values[key]` if it is of that type; a null or absent one is the default, an error without a default."""
    value = values.get(key)
    if value is None:
        value = default
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        found = f"{value!r:.60}" if value is not None else "null" if key in values else "absent"
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


def _is_text(parsed: object) -> bool:
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _holds(look: Callable[[], bool]) -> bool:
    try:
        return look()
    except OSError as exc:
        if exc.errno != errno.ENAMETOOLONG:
            raise
        return False
