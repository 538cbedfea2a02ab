"""What is handed to the parser, and in which pieces."""

from __future__ import annotations

import pytest

from reflex.serving.pieces import BODY_READ_BYTES, READ_BYTES, Pieces

HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"5\r\nab\r\nc\r\n0\r\nTrailer: y\r\n\r\n"


def taken(pieces: Pieces) -> list[bytes]:
    found = []
    while len(pieces):
        found.append(pieces.take())
    return found


def test_two_requests_are_two_pieces() -> None:
    pieces = Pieces()
    pieces.add(HEAD + HEAD + HEAD[:5])
    assert taken(pieces) == [HEAD, HEAD, HEAD[:5]]
    assert pieces.take() == b""


@pytest.mark.parametrize("cut", range(len(HEAD + CHUNKED + HEAD)))
def test_an_end_is_found_wherever_the_network_cuts(cut: int) -> None:
    sent, pieces, found = HEAD + CHUNKED + HEAD, Pieces(), []
    for part in (sent[:cut], sent[cut:]):
        pieces.add(part)
        found += taken(pieces)
    assert b"".join(found) == sent
    ends = {len(HEAD), len(HEAD + CHUNKED), len(sent)}
    reached = {len(b"".join(found[: count + 1])) for count in range(len(found))}
    assert ends <= reached


def test_an_announced_body_is_handed_out_to_its_last_byte_whatever_is_in_it() -> None:
    pieces = Pieces()
    pieces.body_left = 10
    pieces.add(b"abc\r\n\r\n")
    pieces.add(b"def" + HEAD)
    assert taken(pieces) == [b"abc\r\n\r\ndef", HEAD]
    assert pieces.body_left == 0


def test_more_is_read_at_once_only_of_an_announced_body() -> None:
    pieces = Pieces()
    assert pieces.read_bytes == READ_BYTES == 16 * 1024
    pieces.body_left = 1
    assert pieces.read_bytes == BODY_READ_BYTES
    pieces.add(b"x")
    pieces.take()
    assert pieces.read_bytes == READ_BYTES


def test_what_nobody_wants_is_dropped() -> None:
    pieces = Pieces()
    pieces.add(HEAD)
    pieces.drop()
    assert (len(pieces), pieces.take()) == (0, b"")
