from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex_frontend.errors import Http2Error
from reflex_frontend.triton.http2 import fields
from reflex_frontend.triton.http2.fields import MAX_FIELDS_BYTES, fields_in, request_fields

PATH = "/inference.GRPCInferenceService/ModelInfer"


def read(block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in hpack.Decoder().decode(block)]


@pytest.mark.parametrize(
    ("timeout_s", "told"),
    [(30.0, "30000m"), (0.3, "300m"), (600, "600000m"), (1e-9, "1m"), (0.0, "1m"), (0.0015, "2m")],
)
def test_a_call_begins_with_the_fields_that_grpc_asks_for(timeout_s: float, told: str) -> None:
    assert read(request_fields("host:8001", PATH, timeout_s, (("traceparent", "00-1-2-01"),))) == [
        (":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "host:8001"), ("te", "trailers"),
        ("content-type", "application/grpc"), ("user-agent", "reflex"), ("grpc-timeout", told),
        ("traceparent", "00-1-2-01"),
    ]  # fmt: skip


def test_a_call_without_a_deadline_tells_of_none() -> None:
    assert "grpc-timeout" not in dict(read(request_fields("localhost", PATH, None)))


def test_what_is_sent_leaves_nothing_in_the_other_sides_table() -> None:
    decoder = hpack.Decoder()
    decoder.decode(request_fields("localhost", PATH, 30.0, (("a-long-name-of-a-header", "secret" * 50),)))
    assert not decoder.header_table.dynamic_entries


def one_field_of(size: int) -> bytes:
    """As RFC 9113, section 6.5.2, counts: 32 bytes more than its name and its value have."""
    return bytes(hpack.Encoder().encode([("name", "x" * (size - 36))], huffman=False))


def rare_letters_in(size: int) -> bytes:
    """A block of `size` bytes, whose letters have 23 bits each: more than it has when it is decoded."""
    count = (size - 12) * 8 // 23
    blocks = (hpack.Encoder().encode([("name", "\x01" * count + "0" * more)]) for more in range(16))
    return next(block for block in blocks if len(block) == size)


def test_an_errors_text_may_be_long() -> None:
    assert MAX_FIELDS_BYTES == 256 * 1024
    assert len(fields_in(one_field_of(MAX_FIELDS_BYTES))["name"]) == MAX_FIELDS_BYTES - 36


@given(
    st.dictionaries(st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True), st.text("abc %:/09é", max_size=200)),
    st.booleans(),
)
def test_fields_are_read_however_they_are_written(sent: dict[str, str], huffman: bool) -> None:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    block = encoder.encode(list(sent.items()), huffman=huffman)
    assert fields_in(block) == sent
    assert fields_in(block) is fields_in(bytes(block)), "looked up"


@pytest.mark.parametrize(
    "block",
    [
        one_field_of(MAX_FIELDS_BYTES + 1),
        b"\x88" * 8_000,
        hpack.Encoder().encode([("name", "0" * 400_000)]),
    ],
)
def test_what_is_too_large_before_or_after_it_is_decoded_says_so(block: bytes) -> None:
    with pytest.raises(hpack.OversizedHeaderListError):
        fields_in(block)


@pytest.mark.parametrize(("size", "is_looked_up"), [(1_023, True), (1_024, True), (1_025, False)])
def test_what_is_longer_than_a_kilobyte_does_not_come_again(size: int, *, is_looked_up: bool) -> None:
    block = b"\x00\x04name\x7f" + bytes((0x80 | (size - 9 - 127) & 0x7F, (size - 9 - 127) >> 7)) + b"x" * (size - 9)
    assert len(block) == size
    assert fields_in(block) == {"name": "x" * (size - 9)}
    assert (fields_in(block) is fields_in(block)) is is_looked_up


def test_a_block_counts_as_it_came_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "MAX_FIELDS_BYTES", 2_000)
    assert len(fields_in(rare_letters_in(2_000))["name"]) < 1_000
    with pytest.raises(hpack.OversizedHeaderListError):
        fields_in(rare_letters_in(2_001))


def test_values_may_have_any_bytes() -> None:
    assert fields_in(b"\x00\x01a\x04caf\xe9\x00\x02\xc3\xa9\x01\x00") == {"a": "caf\ufffd", "é": "\x00"}


@pytest.mark.parametrize(
    "block",
    [
        b"\xff" * 8,
        b"\xbe",  # an entry of a table that has none
        b"\x3f\xe1\x1f",  # the table is given room
        b"\x21",  # of one byte
        b"\x00\x05ab",
        b"\x00\x82\xff\xff\x00",
    ],
    ids=[
        "number without end",
        "no such entry",
        "a table",
        "a small table",
        "cut off",
        "Huffman",
    ],
)
def test_what_no_fields_are_is_refused_in_words(block: bytes) -> None:
    with pytest.raises(Http2Error, match=r"the header fields cannot be read: .+"):
        fields_in(block)
