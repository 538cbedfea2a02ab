"""Header fields of a gRPC call over HTTP/2, to bytes and from them, without a table that both sides keep.

The other side is told that the table has no room (SETTINGS_HEADER_TABLE_SIZE 0), and nothing that is sent goes into
it. So the same bytes are always the same fields (RFC 7541, section 2.3.2), and are looked up when they come again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from hpack import Decoder, Encoder, HPACKError, NeverIndexedHeaderTuple, OversizedHeaderListError

from reflex_frontend.errors import Http2Error

__all__ = ["MAX_FIELDS_BYTES", "Fields", "fields_in", "request_fields"]

MAX_FIELDS_BYTES: Final = 262_144
"""Of one block, also after it is decoded: an error's text is in it."""
LOOKED_UP_BYTES: Final = 1_024
"""Longer blocks are errors' texts, which do not come again."""

NO_TABLE: Final = b"\x20"
"""An update of the table's size, to 0."""

Fields = Mapping[str, str]


@lru_cache(maxsize=128)
def request_fields(
    authority: str, path: str, timeout_s: float | None, metadata: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """The block that begins a call (gRPC over HTTP/2, "Requests"); names of `metadata` are in lower case."""
    fields = [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority), ("te", "trailers"),
        ("content-type", "application/grpc"), ("user-agent", "reflex"),
    ]  # fmt: skip
    if timeout_s is not None:
        fields.append(("grpc-timeout", f"{max(1, math.ceil(1e3 * timeout_s))}m"))
    # The other side may want to hear that its table is not used, at the first block (RFC 7541, section 4.2).
    every = [NeverIndexedHeaderTuple(name, value) for name, value in (*fields, *metadata)]
    return NO_TABLE + bytes(Encoder().encode(every, huffman=False))


def fields_in(block: bytes) -> Fields:
    """By name; of a name that comes twice the last.

    Raises `Http2Error` for what no block without a table is, and `OversizedHeaderListError` for one that is too large,
    which says nothing against what comes after it.
    """
    return _looked_up(block) if len(block) <= LOOKED_UP_BYTES else _decoded(block)


@lru_cache(maxsize=128)
def _looked_up(block: bytes) -> Fields:
    return _decoded(block)


def _decoded(block: bytes) -> Fields:
    if len(block) > MAX_FIELDS_BYTES:
        raise OversizedHeaderListError
    decoder = Decoder(max_header_list_size=MAX_FIELDS_BYTES)
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    try:
        # Values may have any bytes (RFC 9110, section 5.5), those that nobody here reads too.
        fields = {_text(name): _text(value) for name, value in decoder.decode(block, raw=True)}
    except OversizedHeaderListError:
        raise
    except HPACKError as exc:
        raise Http2Error(f"the header fields cannot be read: {str(exc) or type(exc).__name__}") from None
    return MappingProxyType(fields)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
