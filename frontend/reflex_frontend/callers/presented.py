"""The secrets that a request presents, in whichever header it may; no request needs to say which kind it brings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reflex.wire import AUTHORIZATION_HEADER, KEY_HEADER, raw_name

__all__ = ["secrets_in"]

AUTHORIZATION: Final = raw_name(AUTHORIZATION_HEADER)
KEY: Final = raw_name(KEY_HEADER)


def secrets_in(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Header and secret, by the raw headers of a request with names in lower case."""
    return [found for name, value in headers if (found := _secret_of(name, value)) is not None]


def _secret_of(name: bytes, value: bytes) -> tuple[bytes, bytes] | None:
    """Of Authorization only Bearer is ours: another scheme may be meant for a proxy."""
    if name == KEY:
        return name, value.strip(b" \t")
    if name == AUTHORIZATION:
        scheme, _, secret = value.partition(b" ")
        return (name, secret.strip(b" \t")) if scheme.lower() == b"bearer" else None
    return None
