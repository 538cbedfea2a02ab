"""Pictures for requests: pixels, their files in every form, and how a request carries them."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["PNG_MAGIC", "Pixels", "as_base64", "encoded", "photo", "png_chunk", "png_file", "with_repeated_scans"]

Pixels = npt.NDArray[np.uint8]
"""uint8 [height, width, 3], RGB."""

PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
START_OF_SCAN: Final = b"\xff\xda"
END_OF_IMAGE: Final = b"\xff\xd9"


def photo(seed: int = 0, height: int = 24, width: int = 32) -> Pixels:
    """A smooth picture with some noise: a JPEG of it has all kinds of coefficients."""
    random = np.random.RandomState(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [128 + 90 * np.sin(rows / (3 + axis + seed % 5) + columns / (5 + axis)) for axis in range(3)]
    noisy = np.stack(waves, axis=2) + random.randint(-12, 13, (height, width, 3))
    pixels: Pixels = noisy.clip(0, 255).astype(np.uint8)
    return pixels


def encoded(image: Pixels | Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The bytes of a file of Pillow's `kind`."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk with its length and its right checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_file(
    width: int, height: int, *, bit_depth: int = 8, colour_type: int = 2, rows: bytes | None = None, extra: bytes = b""
) -> bytes:
    """A PNG written by hand; `rows` are the filtered scanlines, black without them, `extra` are chunks before them."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    line_bytes = 1 + (width * samples * bit_depth + 7) // 8
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    data = _deflated_zeros(line_bytes * height) if rows is None else zlib.compress(rows, 9)
    return PNG_MAGIC + png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def with_repeated_scans(jpeg: bytes, times: int) -> bytes:
    """A progressive JPEG whose last scan comes `times` more: every one costs a decoder a whole pass."""
    last_scan = jpeg[jpeg.rindex(START_OF_SCAN) : -len(END_OF_IMAGE)]
    return jpeg[: -len(END_OF_IMAGE)] + last_scan * times + END_OF_IMAGE


def _deflated_zeros(length: int) -> bytes:
    """Compressed piecewise, so that building a bomb does not take its size in memory."""
    deflate = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [deflate.compress(block[: min(len(block), length - done)]) for done in range(0, length, len(block))]
    return b"".join(parts) + deflate.flush()
