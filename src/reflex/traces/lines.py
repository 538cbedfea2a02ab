"""The whole lines of one file, however its writer ended: killed in the middle, out of disk, or overwritten in part.

A reader that stops at the first damaged byte would lose what was written safely after it, and one that believes a
damaged block would invent records. So everything before the damage is taken, the damage is counted, and reading goes on
at the next gzip member if there is one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["Losses", "lines_of"]

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""Images of an 8 MiB request as raw pixels, in base64, with room to spare; a longer line is damage."""
READ_BYTES: Final = 16 * 1024
"""Of gzip, which unpacks to at most about a thousand times as much (zlib's technical details)."""
GZIP_MAGIC: Final = b"\x1f\x8b\x08"
GZIP_WINDOW: Final = 31
"""zlib's way to ask for a gzip header and the largest window."""


@dataclass
class Losses:
    """What could not be read, counted while reading."""

    torn_lines: int = 0
    """Last lines without an end: the writer was stopped while it wrote them."""
    damaged_lines: int = 0
    """Lines that are no records, and those of a file whose header is lost."""
    damaged_blocks: int = 0
    """Places where the compressed data is broken; how many lines were in there is unknown."""
    dropped: int = 0
    """Requests that the server itself did not record, for its writer was behind."""

    @property
    def any(self) -> bool:
        """Whether anything is missing."""
        return bool(self.torn_lines or self.damaged_lines or self.damaged_blocks or self.dropped)


def lines_of(path: Path, losses: Losses) -> Iterator[bytes]:
    """Each line of a gzip file, or of a plain one, without its newline; at most one line is held in memory."""
    with path.open("rb") as file:
        is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        yield from _split(_unpacked(file, losses) if is_gzip else _pieces(file), losses)


def _pieces(file: BinaryIO) -> Iterator[bytes | None]:
    while piece := file.read(READ_BYTES):
        yield piece


def _unpacked(file: BinaryIO, losses: Losses) -> Iterator[bytes | None]:
    """The text of all members in turn; None stands for a gap, across which no line must be joined."""
    rest = b""
    unpack = zlib.decompressobj(GZIP_WINDOW)
    while rest or (rest := file.read(READ_BYTES)):
        before = unpack.copy()
        try:
            yield unpack.decompress(rest)
            rest = unpack.unused_data
        except zlib.error:
            text, good_bytes = _until_damage(before, rest)
            losses.damaged_blocks += 1
            yield text
            yield None
            rest = _next_member(rest[max(good_bytes - len(GZIP_MAGIC), 1) :], file)
            unpack = zlib.decompressobj(GZIP_WINDOW)
        if unpack.eof:
            unpack = zlib.decompressobj(GZIP_WINDOW)


def _until_damage(unpack: zlib._Decompress, packed: bytes) -> tuple[bytes, int]:
    """What comes out before the first byte that breaks it, and how many bytes were good: zlib alone drops both."""
    text = bytearray()
    for index in range(len(packed)):
        try:
            text += unpack.decompress(packed[index : index + 1])
        except zlib.error:
            return bytes(text), index
    return bytes(text), len(packed)


def _next_member(rest: bytes, file: BinaryIO) -> bytes:
    while True:
        at = rest.find(GZIP_MAGIC)
        if at >= 0:
            return rest[at:]
        more = file.read(READ_BYTES)
        if not more:
            return b""
        rest = rest[-len(GZIP_MAGIC) :] + more


def _split(pieces: Iterator[bytes | None], losses: Losses) -> Iterator[bytes]:
    line = bytearray()
    is_too_long = False
    for piece in pieces:
        if piece is None:
            line.clear()
            continue
        *ends, begin = piece.split(b"\n")
        for end in ends:
            line += end
            if not is_too_long and line:
                yield bytes(line)
            line.clear()
            is_too_long = False
        line += begin
        if len(line) > MAX_LINE_BYTES:
            losses.damaged_lines += not is_too_long
            is_too_long = True
            line.clear()
    if line and not is_too_long:
        losses.torn_lines += 1
