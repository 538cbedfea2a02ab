"""Images of a request as records: hashed, measured, and kept whole if wanted.

A writer thread does this while the event loop serves, and in Python one of the two waits. So long images are taken in
pieces: between two of them the loop gets its turn, for the hash lets it go.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import simplejpeg

from reflex.traces.schema import ImageRecord
from reflex_frontend.observation.images import Pixels

__all__ = ["ImageMode", "RecordableImage", "image_records", "image_size_bytes"]

ImageMode = Literal["none", "hash", "full"]
RecordableImage = str | bytes | Pixels
"""Base64 text as the client sent it (a `data:` URI too), a file's bytes, or uint8 [height, width, 3]."""

PIECE_CHARACTERS: Final = 64 * 1024
"""A multiple of 4, so that a piece is base64 of its own; 48 KiB take about 50 microseconds to decode."""
PIECE_BYTES: Final = PIECE_CHARACTERS // 4 * 3
JPEG_MAGIC: Final = b"\xff\xd8\xff"
PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"

Encoding = Literal["jpeg", "png"]


def image_records(images: Mapping[str, RecordableImage], mode: ImageMode) -> Mapping[str, ImageRecord]:
    """By camera. Left out is what is no base64: the request was refused for it. With `none` all are."""
    if mode == "none":
        return {}
    found = {name: _record(image, mode) for name, image in images.items()}
    return {name: record for name, record in found.items() if record is not None}


def image_size_bytes(image: RecordableImage) -> int:
    """The memory that it takes; of text, ASCII is all that base64 has."""
    return len(image) if isinstance(image, (str, bytes)) else image.nbytes


def _record(image: RecordableImage, mode: ImageMode) -> ImageRecord | None:
    if isinstance(image, str):
        return _from_text(image, mode)
    return _from_bytes(image, mode) if isinstance(image, bytes) else _from_pixels(image, mode)


def _from_bytes(data: bytes, mode: ImageMode) -> ImageRecord:
    encoding = _encoding_of(data)
    width, height = _size_of(data[:PIECE_BYTES], encoding)
    kept = "".join(_base64_pieces(memoryview(data))) if mode == "full" else None
    return ImageRecord(hashlib.sha256(data).hexdigest(), width, height, encoding, kept)


def _from_text(text: str, mode: ImageMode) -> ImageRecord | None:
    plain = _plain_base64(text)
    digest, head = hashlib.sha256(), b""
    try:
        for at in range(0, len(plain), PIECE_CHARACTERS):
            data = binascii.a2b_base64(plain[at : at + PIECE_CHARACTERS], strict_mode=True)
            head = head or data
            digest.update(data)
    except ValueError:
        return None
    encoding = _encoding_of(head)
    width, height = _size_of(head, encoding)
    kept = plain if mode == "full" else None
    return ImageRecord(digest.hexdigest(), width, height, encoding, kept)


def _from_pixels(pixels: Pixels, mode: ImageMode) -> ImageRecord:
    data = memoryview(pixels.tobytes())
    digest = hashlib.sha256(data).hexdigest()
    kept = "".join(_base64_pieces(data)) if mode == "full" else None
    return ImageRecord(digest, pixels.shape[1], pixels.shape[0], "raw", kept)


def _base64_pieces(data: memoryview) -> Iterator[str]:
    for at in range(0, len(data), PIECE_BYTES):
        yield base64.b64encode(data[at : at + PIECE_BYTES]).decode()


def _plain_base64(text: str) -> str:
    """Without the prefix of a `data:` URI, and without the line breaks that some encoders put in."""
    text = text.partition(",")[2] if text.startswith("data:") else text
    return text if text.isalnum() else "".join(text.split())


def _encoding_of(head: bytes) -> Encoding | None:
    if head.startswith(JPEG_MAGIC):
        return "jpeg"
    return "png" if head.startswith(PNG_MAGIC) else None


def _size_of(head: bytes, encoding: Encoding | None) -> tuple[int | None, int | None]:
    """Width and height in pixels, if the first piece says so."""
    if encoding == "png" and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if encoding == "jpeg":
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(head)
        except ValueError:
            return None, None
        return width, height
    return None, None
