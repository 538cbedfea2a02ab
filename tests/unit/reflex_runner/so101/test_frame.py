from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex_runner.so101 import frame
from reflex_runner.so101.frame import Status, from_bytes, take_status, to_bytes

ANSWER = bytes.fromhex("ffff 01 04 00 1808 da")


@pytest.mark.parametrize(
    ("packet", "bytes_"),
    [
        (frame.ping(1), "ffff 01 02 01 fb"),
        (frame.read(1, 56, 2), "ffff 01 04 02 3802 be"),
        (frame.write(1, 42, b"\x00\x08"), "ffff 01 05 03 2a0008 c4"),
        (frame.sync_read((1, 2), 56, 8), "ffff fe 06 82 3808 0102 36"),
        (frame.sync_write(40, 1, {1: b"\x00", 2: b"\x01"}), "ffff fe 08 83 2801 0100 0201 49"),
    ],
    ids=["ping", "read", "write", "sync read", "sync write"],
)
def test_a_packet_is_what_the_protocol_says_byte_for_byte(packet: bytes, bytes_: str) -> None:
    assert packet == bytes.fromhex(bytes_)


@pytest.mark.parametrize(
    "before", [b"", b"\x00", b"\xff", b"\xff\xff", b"\xff\xff\xff\x01", ANSWER[:5], b"\xff\xff\x01\x04\x00\x00\x00\x00"]
)
def test_an_answer_is_found_behind_whatever_stands_before_it(before: bytes) -> None:
    buffer = bytearray(before + ANSWER + b"\xff")

    assert take_status(buffer, 2) == Status(1, 0, b"\x18\x08")
    assert buffer == b"\xff"


@pytest.mark.parametrize("at", range(len(ANSWER)))
def test_an_answer_with_one_other_bit_is_none(at: int) -> None:
    broken = bytearray(ANSWER)
    broken[at] ^= 0x10

    assert take_status(broken, 2) is None


def test_an_answer_of_another_size_is_none_to_this_question() -> None:
    assert take_status(bytearray(ANSWER), 1) is None


@given(st.binary(max_size=80), st.integers(0, 8))
def test_no_bytes_are_too_strange_and_none_pile_up(data: bytes, size: int) -> None:
    buffer = bytearray(data)
    while take_status(buffer, size) is not None:
        pass

    assert len(buffer) < size + frame.OVERHEAD


@pytest.mark.parametrize(
    ("value", "sign_bit", "raw"), [(-100, 11, 0x864), (-1, 15, 0x8001), (1, 15, 1), (2047, 11, 0x7FF)]
)
def test_a_negative_number_is_a_magnitude_with_a_sign(value: int, sign_bit: int, raw: int) -> None:
    assert to_bytes(value, 2, sign_bit) == raw.to_bytes(2, "little")
    assert from_bytes(raw.to_bytes(2, "little"), sign_bit) == value


@pytest.mark.parametrize(("value", "size", "sign_bit"), [(256, 1, None), (-1, 1, None), (2048, 2, 11), (-2048, 2, 11)])
def test_what_a_register_cannot_hold_is_refused_and_not_wrapped(value: int, size: int, sign_bit: int | None) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        to_bytes(value, size, sign_bit)
