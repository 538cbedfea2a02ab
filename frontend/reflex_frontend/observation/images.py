"""Images from untrusted bytes to uint8 RGB pixels, bounded before anything is decoded.

JPEG through libjpeg-turbo, PNG through Pillow; every other format is refused. Alpha is dropped, 16-bit samples keep
their upper byte, and EXIF orientation is ignored, as in the training data.
"""

from __future__ import annotations

import binascii
import io
import itertools
import struct
import zlib
from typing import Any, Final, cast

import numpy as np
import simplejpeg
from PIL import Image

from reflex.errors import ServiceError
from reflex.wire import MAX_PIXELS
from reflex_frontend.observation.request import ImageSource, Pixels, refuse

__all__ = ["Pixels", "decode_image", "decode_quickly"]

MAX_PNG_CHUNKS: Final = 4_096
"""Pillow reads each in Python; an encoder writes one for every 8 KiB or more."""
MAX_JPEG_SCANS: Final = 64
"""An encoder writes about ten; each costs a whole pass, so thousands would hold a decoder for seconds."""
MAX_JPEG_MARKERS: Final = 100_000
"""Pillow walks through them in Python: a second for a million and a half. Restart intervals need some thousands."""
QUICK_BASE64_CHARACTERS: Final = 96 * 1024
QUICK_BYTES: Final = QUICK_BASE64_CHARACTERS // 4 * 3
QUICK_PIXELS: Final = 320 * 240
JPEG_BASE64_MAGIC: Final = "/9j/"
JPEG_MAGIC: Final = b"\xff\xd8\xff"
PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
JPEG_SCAN_MARKER: Final = b"\xff\xda"
# What libjpeg-turbo and Pillow raise on broken files.
DECODE_ERRORS: Final = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, AssertionError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def decode_quickly(source: ImageSource) -> Pixels | None:
    """Decode what surely takes under a millisecond: for that a thread would cost more than it saves.

    None means: not one of those, leave it to `decode_image` off the event loop. Raises like `decode_image`.
    """
    if isinstance(source, str):
        is_quick = len(source) <= QUICK_BASE64_CHARACTERS and source.startswith(JPEG_BASE64_MAGIC)
        return _decode_small_jpeg(_base64_bytes(source)) if is_quick else None
    if isinstance(source, bytes):
        is_quick = len(source) <= QUICK_BYTES and source.startswith(JPEG_MAGIC)
        return _decode_small_jpeg(source) if is_quick else None
    return _checked(source) if isinstance(source, np.ndarray) else None


def _decode_small_jpeg(data: bytes) -> Pixels | None:
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        is_baseline = data.count(JPEG_SCAN_MARKER) == 1
        if height * width > QUICK_PIXELS or not is_baseline or colorspace in ("CMYK", "YCCK"):
            return None
        return cast("Pixels", simplejpeg.decode_jpeg(data, colorspace="RGB"))
    except DECODE_ERRORS:
        raise refuse("invalid_image", "the JPEG cannot be decoded; it may be truncated") from None


def decode_image(source: ImageSource) -> Pixels:
    """Decode one image; raises `ServiceError` invalid_image, image_too_large or wrong_type."""
    if isinstance(source, list):
        return _from_nested_lists(source)
    if isinstance(source, np.ndarray):
        return _checked(source)
    data = _base64_bytes(source) if isinstance(source, str) else source
    if data.startswith(JPEG_MAGIC):
        return _decode_jpeg(data)
    if data.startswith(PNG_MAGIC):
        return _decode_png(data)
    raise refuse("invalid_image", "an image must be a JPEG or a PNG")


def _base64_bytes(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        pass
    # Encoders that wrap lines are common and harmless; anything else is refused.
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError:
        raise refuse("invalid_image", "an image must be base64 (RFC 4648) of a JPEG or PNG file") from None


def _checked(pixels: Pixels) -> Pixels:
    """Pixels that somebody else made: as they are, once their type and size are right."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise refuse("invalid_image", "an image array must be H x W x 3 of uint8")
    _check_size(pixels.shape[0], pixels.shape[1])
    return pixels


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise refuse("invalid_image", "the image has no pixels")
    if height * width > MAX_PIXELS:
        raise refuse(
            "image_too_large",
            f"an image may have at most {MAX_PIXELS} pixels; scale it down before sending",
            limit=MAX_PIXELS,
        )


def _decode_jpeg(data: bytes) -> Pixels:
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
        _check_size(height, width)
        if data.count(JPEG_SCAN_MARKER) > MAX_JPEG_SCANS:
            raise refuse("invalid_image", f"a JPEG may have at most {MAX_JPEG_SCANS} scans")
        if colorspace in ("CMYK", "YCCK"):
            if data.count(b"\xff") - data.count(b"\xff\x00") > MAX_JPEG_MARKERS:
                raise refuse("invalid_image", f"a CMYK JPEG may have at most {MAX_JPEG_MARKERS} markers")
            return _decode_with_pillow(data, "JPEG")
        return cast("Pixels", simplejpeg.decode_jpeg(data, colorspace="RGB"))
    except DECODE_ERRORS:
        raise refuse("invalid_image", "the JPEG cannot be decoded; it may be truncated") from None


def _decode_png(data: bytes) -> Pixels:
    try:
        # Before Pillow sees it: its own limit is 45 times ours, and warns where we refuse.
        width, height = struct.unpack(">II", data[16:24])
        _check_size(height, width)
        _check_png_chunks(data)
        return _decode_with_pillow(data, "PNG")
    except DECODE_ERRORS:
        raise refuse("invalid_image", "the PNG cannot be decoded; it may be truncated") from None


def _check_png_chunks(data: bytes) -> None:
    """Whole and undamaged up to its end. Pillow looks at no checksum of the pixel data: a flipped bit would pass."""
    at, kind = len(PNG_MAGIC), b""
    for _ in range(MAX_PNG_CHUNKS):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(memoryview(data)[at + 4 : at + 8 + length]) != checksum:
            raise refuse("invalid_image", "the PNG is damaged: a checksum is wrong")
        if kind == b"IEND":
            return
        at += 12 + length
    raise refuse("invalid_image", f"a PNG may have at most {MAX_PNG_CHUNKS} chunks")


def _decode_with_pillow(data: bytes, kind: str) -> Pixels:
    with Image.open(io.BytesIO(data), formats=(kind,)) as image:
        _check_size(image.height, image.width)
        image.load()
        return _rgb(image)


def _rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):  # 16-bit grey
        grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("LA", "RGBA"):
        # convert() from RGBA drops alpha; from LA it would blend on some versions.
        image = image.convert("RGBA")
    return np.ascontiguousarray(np.asarray(image.convert("RGB")))


def _from_nested_lists(rows: list[Any]) -> Pixels:
    """By hand: np.array takes memory for the longest item in every place, so one long text among them is a bomb.

    And row by row, so that the event loop gets its turn while a worker thread is at it.
    """
    _check_outline(rows)
    width = len(rows[0])
    pixels = b"".join(_row_bytes(row, width) for row in rows)
    return np.frombuffer(pixels, np.uint8).reshape(len(rows), width, 3)


def _row_bytes(row: Any, width: int) -> bytes:  # noqa: ANN401 - JSON
    if type(row) is not list or len(row) != width or any(type(pixel) is not list or len(pixel) != 3 for pixel in row):
        raise refuse("invalid_image", "an image array must be H x W x 3: its rows or pixels differ in length")
    samples = list(itertools.chain.from_iterable(row))
    if set(map(type, samples)) != {int}:
        raise refuse("wrong_type", "an image array must hold integers from 0 to 255", field="image")
    try:
        return bytes(samples)
    except (ValueError, OverflowError):
        raise refuse("invalid_image", "an image array must hold integers from 0 to 255") from None


def _check_outline(rows: list[Any]) -> None:
    """Refuse by the first row and pixel, before numpy walks through millions of items."""
    first_row = rows[0] if rows else None
    first_pixel = first_row[0] if isinstance(first_row, list) and first_row else None
    if not isinstance(first_row, list) or not isinstance(first_pixel, list):
        raise _outline_error()
    if len(first_pixel) != 3:
        raise _outline_error()
    _check_size(len(rows), len(first_row))


def _outline_error() -> ServiceError:
    return refuse("invalid_image", "an image array must be H x W x 3: rows of pixels of three integers")
