"""A large file on its way to disk: nothing is lost, out of order or silently unwritten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reflex_export.graph.streaming import stream_to_disk
from support.leftovers import leaves_no_thread

PIECE_BYTES = 8 << 20
PIECES = 20
"""160 MiB: more than one request for the disk."""


def pieces() -> Iterator[memoryview]:
    for number in range(PIECES):
        yield memoryview(bytes([number]) * PIECE_BYTES)


def stream(path: Path) -> list[int]:
    """The first byte of every piece that was seen."""
    seen: list[int] = []
    with path.open("wb") as file:
        stream_to_disk(file, pieces(), lambda piece: seen.append(piece[0]))
    return seen


@pytest.mark.slow
def test_every_piece_is_seen_and_written_in_order(tmp_path: Path) -> None:
    assert stream(tmp_path / "weights") == list(range(PIECES))
    assert (tmp_path / "weights").read_bytes() == b"".join(pieces())


def test_the_disk_works_before_the_last_piece_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced_bytes = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: synced_bytes.append(os.fstat(descriptor).st_size))

    stream(tmp_path / "weights")

    assert 0 < synced_bytes[0] < PIECES * PIECE_BYTES


def test_what_the_disk_refuses_in_between_ends_the_writing_and_leaves_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells of a failed write once, so no later sync would."""
    failures = [OSError(5, "Input/output error")]

    def fail_once(_descriptor: int) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(os, "fdatasync", fail_once)

    with leaves_no_thread(), pytest.raises(OSError, match="Input/output error"):
        stream(tmp_path / "weights")


@pytest.mark.parametrize("refused", [0, PIECES - 1])
def test_who_cannot_take_a_piece_ends_the_writing_and_leaves_no_thread(tmp_path: Path, refused: int) -> None:
    def refuse(piece: memoryview) -> None:
        if piece[0] == refused:
            raise ValueError("not this one")

    with leaves_no_thread(), (tmp_path / "weights").open("wb") as file, pytest.raises(ValueError, match="not this one"):
        stream_to_disk(file, pieces(), refuse)
