"""Canonical JSON: one value, one sequence of bytes, so that what is hashed or signed here can be checked elsewhere.

Keys are sorted by their code points, there are no spaces, text is UTF-8, and a number stands as Python writes it
(`1` and `1.0` are two values). NaN, infinities, keys that are no text and lone surrogates are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final, NoReturn

__all__ = ["HASH_PREFIX", "canonical_json", "is_hash", "parse_canonical", "sha256_of"]

HASH_PREFIX: Final = "sha256:"
HASH_DIGITS: Final = frozenset("0123456789abcdef")


def canonical_json(value: object) -> bytes:
    """The bytes of a value; `ValueError` for one that JSON cannot say, or that is nested too deeply."""
    try:
        _refuse_other_keys_than_text(value)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
        return text.encode("utf-8")
    except TypeError as exc:
        raise ValueError(f"no JSON: {exc}") from exc
    except RecursionError:
        raise ValueError("no JSON: nested too deeply") from None


def sha256_of(value: object) -> str:
    """`sha256:` and 64 hexadecimal digits of the value's canonical bytes."""
    return HASH_PREFIX + hashlib.sha256(canonical_json(value)).hexdigest()


def is_hash(value: object) -> bool:
    """Whether it has the form that `sha256_of` gives."""
    is_text = isinstance(value, str) and len(value) == len(HASH_PREFIX) + 64 and value.startswith(HASH_PREFIX)
    return is_text and set(str(value).removeprefix(HASH_PREFIX)) <= HASH_DIGITS


def parse_canonical(data: bytes) -> dict[str, object]:
    """The object of which these are the canonical bytes; `ValueError` for every other sequence of bytes."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # Also tells a key that is given twice, an escape in place of a letter, and 1.00 in place of 1.0.
    if not isinstance(value, dict) or canonical_json(value) != data:
        raise ValueError("not an object in canonical JSON")
    return value


def _refuse_other_keys_than_text(value: object) -> None:
    """`json` writes the key 1 as "1": two values would have the same bytes."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("no JSON: a key that is no text")
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            _refuse_other_keys_than_text(each)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
