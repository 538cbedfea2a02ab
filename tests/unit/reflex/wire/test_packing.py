"""msgpack is written as the library writes it and read as it reads it, and no bytes cost more than they should."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reflex.wire.packing import MAX_DEPTH, MAX_ITEMS, pack, unpack

BUSY = [HealthCheck.too_slow]
"""A machine may be."""
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40) | st.binary(max_size=4), inner),
    max_leaves=40,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=BUSY)
@given(values)
def test_a_value_is_written_and_read_as_the_library_does(value: Any) -> None:
    written = pack(value)
    assert written == msgpack.packb(value)
    assert unpack(written) == value
    assert unpack(msgpack.packb(value, use_single_float=False)) == value


@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize("kind", [str, bytes])
def test_every_length_has_its_shortest_form(kind: type, size: int) -> None:
    value = "x" * size if kind is str else b"x" * size
    assert pack(value) == msgpack.packb(value)
    assert unpack(pack(value)) == value


@pytest.mark.parametrize("length", [15, 16, 65_535, 65_536])
def test_long_lists_and_maps_are_written_as_the_library_does(length: int) -> None:
    assert pack([None] * length) == msgpack.packb([None] * length)
    mapping = {str(number): None for number in range(length)}
    assert pack(mapping) == msgpack.packb(mapping)


def test_small_floats_are_read_and_tuples_and_views_written() -> None:
    assert unpack(b"\xca\x3f\x80\x00\x00") == 1.0
    assert unpack(pack((1, memoryview(b"ab"), bytearray(b"c")))) == [1, b"ab", b"c"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "ends"),
        (b"\x81", "ends"),
        (b"\xc4\x05ab", "ends"),
        (b"\xdd\xff\xff\xff\xff", "ends"),
        (b"\xdf\x7f\xff\xff\xff" + b"\xa1a\xc0", "ends"),
        (b"\xc6\xff\xff\xff\xffabc", "ends"),
        (b"\x01\x02", "more than one"),
        (b"\xa1\xff", "UTF-8"),
        (b"\x81\x01\x02", "keys"),
        (b"\x81\xc0\x02", "keys"),
        (b"\x81\x90\x02", "nested"),
        (b"\xc1", "extension"),
        (b"\xd4\x01a", "extension"),
        (b"\xc7\x03\xffabc", "extension"),
        (b"\xd6\xff\x00\x00\x00\x00", "extension"),
        (b"\x91" * (MAX_DEPTH + 1) + b"\xc0", "nested"),
        (b"\x91" * 100_000, "nested"),
        (b"\xdc" + struct.pack(">H", MAX_ITEMS + 1) + b"\xc0" * (MAX_ITEMS + 1), "values"),
        (b"\xdc\x00\x10" + (b"\xdc\x03\x00" + b"\xc0" * 0x0300) * 16, "values"),
    ],
)
def test_what_is_no_msgpack_of_ours_is_refused_with_a_sentence(data: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        unpack(data)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_what_has_no_form_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        pack(value)
    with pytest.raises(TypeError):
        pack(object())


@pytest.mark.parametrize(
    "data",
    [b"\x90" * (4 << 20), b"\xdd\x00\x3f\xff\xff" + b"\x90" * (4 << 20), b"\xdd\xff\xff\xff\xff" + bytes(1 << 20)],
    ids=["lists", "a list of lists", "a claim"],
)
def test_a_bomb_costs_no_more_than_its_bytes(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(ValueError, match="msgpack"):
        unpack(data)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=BUSY)
@given(st.binary(max_size=200) | values.map(msgpack.packb), st.lists(st.tuples(st.integers(0), st.integers(0, 255))))
def test_any_bytes_are_a_value_or_a_sentence(data: bytes, flips: list[tuple[int, int]]) -> None:
    spoilt = bytearray(data)
    for place, byte in flips:
        if spoilt:
            spoilt[place % len(spoilt)] = byte
    with contextlib.suppress(ValueError):
        value = unpack(spoilt)
        assert repr(unpack(pack(value))) == repr(value)
