"""Canonical JSON: the same bytes for the same value, on every machine, and for no other value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex.signed.canonical import canonical_json, is_hash, parse_canonical, sha256_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_keys_are_sorted_there_are_no_spaces_and_text_is_utf_8() -> None:
    value = {"b": [1, 1.5, None, True], "a": {"z": "Grüße 🤖", "é": "", "A": '"\n'}}
    text = '{"a":{"A":"\\"\\n","z":"Grüße 🤖","é":""},"b":[1,1.5,null,true]}'
    assert canonical_json(value) == text.encode()


def test_a_hash_is_that_of_the_bytes_on_every_version() -> None:
    # printf '%s' '{"a":1}' | sha256sum
    assert sha256_of({"a": 1}) == "sha256:015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    assert is_hash(sha256_of([]))


@pytest.mark.parametrize("other", ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "0" * 71, None, 5])
def test_what_is_no_hash_is_told(other: object) -> None:
    assert not is_hash(other)


@pytest.mark.parametrize(
    "value",
    [float("nan"), [float("inf")], {"a": -float("inf")}, {1: "a"}, [{None: 1}], {"a": {True: 1}}, "\ud800",
     {"\udfff": 1}, {1, 2}, b"bytes", object(), nested(100_000)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        canonical_json(value)


@pytest.mark.slow
@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_was_written_reads_back_and_is_the_same_bytes_again(value: dict[str, Any]) -> None:
    data = canonical_json(value)
    assert parse_canonical(data) == value
    assert canonical_json(json.loads(data)) == data


@given(st.permutations([(name, at) for at, name in enumerate("cab🤖é")]))
def test_the_order_in_which_keys_were_given_does_not_count(pairs: list[tuple[str, int]]) -> None:
    assert canonical_json(dict(pairs)) == canonical_json(dict(sorted(pairs)))


@pytest.mark.slow
@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=3), st.data())
def test_no_other_bytes_read_as_the_same_value(value: dict[str, Any], data: st.DataObject) -> None:
    written = bytearray(canonical_json(value))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] ^= data.draw(st.integers(1, 255))
    try:
        read = parse_canonical(bytes(written))
    except ValueError:
        return
    assert canonical_json(read) != canonical_json(value)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"5", b"{", b'{"a":1}\n', b'{"a": 1}', b'{"b":1,"a":1}', b'{"a":1,"a":1}', b'{"a":1.50}',
     b'{"a":"\\u0061"}', b'{"a":NaN}', b'{"a":1e400}', b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'\xef\xbb\xbf{"a":1}',
     b'{"a":' + b"[" * 100_000],
    ids=lambda data: repr(data[:20]),
)  # fmt: skip
def test_bytes_that_are_no_canonical_object_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_canonical(data)
