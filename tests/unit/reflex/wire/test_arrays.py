"""Arrays are read from programs as they are in use, and written so that those programs read them."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import msgpack_numpy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpi_client import msgpack_numpy as openpi_numpy

from reflex.wire.arrays import ELEMENTS, OPENPI_CLIENT, PLAIN, Array, Dialect, array_map, read_arrays
from reflex.wire.packing import pack, unpack

BUSY = [HealthCheck.too_slow]
"""A machine may be."""
NUMPY = Dialect("nd", has_byte_keys=True)
NUMPY_TEXT = Dialect("nd", has_byte_keys=False)
DIALECTS = [OPENPI_CLIENT, PLAIN, NUMPY, NUMPY_TEXT]
IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def with_text_keys(value: Any) -> Any:
    """As programs write it that have keys of text."""
    if isinstance(value, dict):
        return {key.decode() if isinstance(key, bytes) else key: with_text_keys(item) for key, item in value.items()}
    return value.decode() if value == b"" else value


def written(value: Any, dialect: Dialect) -> bytes:
    """By the programs themselves."""
    data: bytes = openpi_numpy.packb(value) if dialect.marker == "__ndarray__" else msgpack_numpy.packb(value)
    if dialect.has_byte_keys:
        return data
    text: bytes = msgpack.packb(with_text_keys(msgpack.unpackb(data)))
    return text


def read(data: bytes) -> tuple[Any, Dialect | None]:
    return read_arrays(unpack(data))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_dialect_is_read_and_recognised(dialect: Dialect, element: str, order: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(np.dtype(order + element))
    fields, found = read(written({"a": array, "images": {"top": IMAGE}, "b": 1}, dialect))
    assert found == dialect
    assert fields["a"].dtype == array.dtype
    assert np.array_equal(fields["a"], array)
    assert np.array_equal(fields["images"]["top"], IMAGE)
    assert not fields["a"].flags.writeable


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("array", [IMAGE, np.full((1, 2), 0.5, np.float32), np.zeros(0, np.float32), np.ones(1)])
def test_what_is_written_is_what_those_programs_read(dialect: Dialect, array: Array) -> None:
    data = pack({"actions": array_map(array, dialect)})
    back, found = read(data)
    assert found == dialect
    assert np.array_equal(back["actions"], array)
    if dialect.has_byte_keys:
        library = openpi_numpy if dialect.marker == "__ndarray__" else msgpack_numpy
        theirs = library.unpackb(data)["actions"]
        assert theirs.dtype == array.dtype
        assert np.array_equal(theirs, array)


@pytest.mark.parametrize("dialect", [OPENPI_CLIENT, NUMPY])
@pytest.mark.parametrize("scalar", [np.float32(0.5), np.int64(-3), np.bool_(True), np.float16(-2)])
def test_scalars_of_numpy_are_read_as_numbers(dialect: Dialect, scalar: Any) -> None:
    value, found = read(written({"a": scalar}, dialect))
    assert (value, found) == ({"a": scalar.item()}, dialect)


def test_without_arrays_there_is_no_dialect() -> None:
    assert read_arrays({"a": [1, {"b": b"c"}]}) == ({"a": [1, {"b": b"c"}]}, None)


@pytest.mark.parametrize("name", ["float32", "uint8", "int64", "bool"])
def test_an_element_type_may_be_named(name: str) -> None:
    array = np.ones(3, name)
    fields = {"__ndarray__": True, "dtype": name, "shape": [3], "data": array.tobytes()}
    assert np.array_equal(read_arrays(fields)[0], array)


def changed(**changes: Any) -> dict[str, Any]:
    return {"__ndarray__": True, "dtype": "<f4", "shape": [2, 2], "data": bytes(16), **changes}


@pytest.mark.parametrize(
    "fields",
    [
        changed(dtype="O"),
        changed(dtype="|O"),
        changed(dtype="<c8"),
        changed(dtype="<M8[s]"),
        changed(dtype="|V4"),
        changed(dtype="<U4"),
        changed(dtype="<f4,<f4"),
        changed(dtype="(2,)f4"),
        changed(dtype=[["a", "<f4"]]),
        changed(dtype=None),
        changed(dtype=4),
        changed(dtype="<f16"),
        changed(shape=[2, 3]),
        changed(shape=[-2, -2]),
        changed(shape=[4.0]),
        changed(shape=[True, 4]),
        changed(shape=4),
        changed(shape=None),
        changed(shape=[1] * 9),
        changed(shape=[2**62, 2**62]),
        changed(shape=[0, 2**63], data=b""),
        changed(shape=[0, 2**40], data=b""),
        changed(shape=[0] + [2**20] * 7, data=b""),
        changed(data=bytes(15)),
        changed(data="0" * 16),
        changed(data=None),
        changed(data=[0.0] * 4),
        {"nd": True, "type": "<f4", "kind": "O", "shape": [4], "data": bytes(16)},
        {b"nd": True, b"type": "<f4", b"kind": b"V", b"shape": [4], b"data": bytes(16)},
        {b"nd": True, b"type": [[b"a", b"<f4"]], b"kind": b"", b"shape": [4], b"data": bytes(16)},
        {b"nd": False, b"type": "<f4", b"data": bytes(8)},
        {b"__npgeneric__": True, b"dtype": "<f4", b"data": [1]},
        {b"__npgeneric__": True, b"dtype": "<f4", b"data": {}},
        {b"complex": True, b"data": "1j"},
        {"images": {b"top": 1}},
    ],
)
def test_what_is_no_plain_array_is_refused_with_a_sentence(fields: dict[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"msgpack|arrays"):
        read_arrays({"a": fields})


def test_nothing_is_ever_unpickled(capsys: pytest.CaptureFixture[str]) -> None:
    says = b"cbuiltins\nprint\n(S'opened'\ntR."
    bomb = {"nd": True, "type": "|O", "kind": "O", "shape": [1], "data": says}
    for fields in (bomb, {key.encode(): value for key, value in bomb.items()} | {b"kind": b"O"}):
        with pytest.raises(ValueError, match="objects"):
            read_arrays(fields)
    assert "opened" not in capsys.readouterr().out


keys = st.sampled_from(["__ndarray__", "__npgeneric__", "nd", "dtype", "type", "kind", "shape", "data", "a"])
parts = (
    st.none() | st.booleans() | st.integers(-3, 2**64 - 1) | st.floats() | st.binary(max_size=16)
    | st.sampled_from(["<f4", "|u1", ">f8", "O", "", "V"]) | st.lists(st.integers(0, 4), max_size=3)
)  # fmt: skip
maps = st.dictionaries(keys | keys.map(str.encode), parts, max_size=6)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=BUSY)
@given(st.recursive(maps, lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=3)))
def test_any_maps_are_a_value_or_a_sentence(value: Any) -> None:
    with contextlib.suppress(ValueError):
        read_arrays(value)
