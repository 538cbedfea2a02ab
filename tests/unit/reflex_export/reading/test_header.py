from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex_export.errors import TensorFileError
from reflex_export.reading.header import MAX_HEADER_BYTES, header_length, parse_header

ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def parse(header: object, data_bytes: int = 8) -> Any:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return parse_header(text, 8 + len(text) + data_bytes, "model.safetensors")


def test_offsets_become_positions_in_the_file() -> None:
    text = json.dumps({"a": ENTRY, "__metadata__": {"format": "pt"}}).encode()
    header = parse_header(text, 8 + len(text) + 8, "f")
    assert (header.tensors["a"].begin, header.tensors["a"].end) == (8 + len(text), 16 + len(text))
    assert header.metadata == {"format": "pt"}


def test_tensors_without_bytes_may_lie_anywhere_between_others() -> None:
    empty = {"dtype": "F32", "shape": [0, 3], "data_offsets": [8, 8]}
    assert parse({"empty": empty, "a": ENTRY}).tensors["empty"].shape == (0, 3)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"{", "no JSON"),
        (b"[]", "no JSON object"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"a":' + json.dumps(ENTRY).encode() + b',"a":' + json.dumps(ENTRY).encode() + b"}", "occurs twice"),
        (b'{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}', "occurs twice"),
        ({"__metadata__": {"a": 1}}, "strings"),
        ({"a": 1}, "exactly dtype"),
        ({"a": {**ENTRY, "extra": 1}}, "exactly dtype"),
        ({"a": {**ENTRY, "dtype": "F4"}}, "unknown type"),
        ({"a": {**ENTRY, "dtype": ["F32"]}}, "unknown type"),
        ({"a": {**ENTRY, "shape": [-2]}}, "impossible shape"),
        ({"a": {**ENTRY, "shape": [True, 2]}}, "impossible shape"),
        ({"a": {**ENTRY, "shape": [2.0]}}, "impossible shape"),
        ({"a": {**ENTRY, "shape": [1] * 33}}, "impossible shape"),
        ({"a": {**ENTRY, "shape": [2**62, 2**62]}}, "impossible shape"),
        ({"a": {**ENTRY, "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}}, "impossible shape"),
        ({"a": {**ENTRY, "shape": [2**40]}}, "needs"),
        ({"a": {**ENTRY, "data_offsets": [0, 8, 9]}}, "impossible data_offsets"),
        ({"a": {**ENTRY, "data_offsets": [-8, 0]}}, "impossible data_offsets"),
        ({"a": {**ENTRY, "data_offsets": [8, 0]}}, "needs"),
        ({"a": {**ENTRY, "data_offsets": [0, 4]}}, "needs"),
        ({"a": {**ENTRY, "data_offsets": [8, 16]}}, "gap"),
        ({"a": ENTRY, "b": ENTRY}, "overlaps"),
        ({"a": ENTRY, "b": {**ENTRY, "data_offsets": [8, 16]}}, "truncated"),
        ({}, "belong to no tensor"),
    ],
)
def test_an_unsound_header_is_refused(header: object, why: str) -> None:
    with pytest.raises(TensorFileError, match=why):
        parse(header)


@pytest.mark.parametrize(
    ("prefix", "file_bytes", "why"),
    [
        (b"", 0, "only 0 bytes"),
        (b"\x08\0\0", 3, "only 3 bytes"),
        ((MAX_HEADER_BYTES + 1).to_bytes(8, "little"), 2**40, "more than"),
        (b"\xff" * 8, 100, "more than"),
        ((93).to_bytes(8, "little"), 100, "truncated"),
    ],
)
def test_an_absurd_header_length_is_refused_before_it_is_read(prefix: bytes, file_bytes: int, why: str) -> None:
    with pytest.raises(TensorFileError, match=why):
        header_length(prefix, file_bytes, "f")


sizes = st.integers(-2, 2**70) | st.booleans() | st.floats() | st.text(max_size=3) | st.none()
entries = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "BF16", "BOOL", "F4"]), "shape": st.lists(sizes, max_size=3)},
    optional={"data_offsets": st.lists(st.integers(-1, 40), max_size=3)},
)


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=3), entries, max_size=4), st.integers(0, 64))
def test_whatever_the_header_says_no_tensor_reaches_past_the_file(header: dict[str, Any], data_bytes: int) -> None:
    text = json.dumps(header).encode()
    try:
        parsed = parse_header(text, 8 + len(text) + data_bytes, "f")
    except TensorFileError:
        return
    ends = sorted((entry.begin, entry.end) for entry in parsed.tensors.values())
    assert all(8 + len(text) <= begin <= end <= 8 + len(text) + data_bytes for begin, end in ends)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_are_parsed_or_refused(text: bytes, more: int) -> None:
    try:
        parse_header(text, 8 + len(text) + more, "f")
    except TensorFileError:
        return
