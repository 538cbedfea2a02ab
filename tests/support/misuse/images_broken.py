"""Image files with something wrong: bits flipped, bytes cut, inserted or repeated; and what each must decode to."""

from __future__ import annotations

import functools
import io
import random
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from PIL import Image

from support.images import Pixels, encoded, photo

__all__ = ["BASES", "base_file", "pillow_pixels", "spoilt"]

SIXTEEN_BIT_TO_EIGHT: Final = 8


def _grey16() -> Image.Image:
    return Image.fromarray(photo(6)[:, :, 0].astype(np.uint16) * 257)


BASES: Final[Mapping[str, Callable[[], bytes]]] = {
    "jpeg": lambda: encoded(photo(0), quality=85),
    "jpeg grey": lambda: encoded(Image.fromarray(photo(1)).convert("L")),
    "jpeg progressive": lambda: encoded(photo(2), progressive=True),
    "jpeg 4:4:4": lambda: encoded(photo(3), subsampling=0, quality=95),
    "jpeg odd size": lambda: encoded(photo(4, 17, 33)),
    "jpeg one pixel": lambda: encoded(photo(5, 1, 1)),
    "jpeg cmyk": lambda: encoded(Image.fromarray(photo(6)).convert("CMYK")),
    "jpeg with EXIF rotation": lambda: encoded(photo(7), exif=_rotated()),
    "jpeg with restarts": lambda: encoded(photo(8), restart_marker_rows=1),
    "png": lambda: encoded(photo(0), "PNG"),
    "png smooth": lambda: encoded(np.tile(photo(1)[:1], (24, 1, 1)), "PNG"),
    "png grey": lambda: encoded(Image.fromarray(photo(2)).convert("L"), "PNG"),
    "png one bit": lambda: encoded(Image.fromarray(photo(3)).convert("1"), "PNG"),
    "png palette": lambda: encoded(Image.fromarray(photo(4)).convert("P"), "PNG"),
    "png palette with transparency": lambda: encoded(Image.fromarray(photo(4)).convert("P"), "PNG", transparency=3),
    "png alpha": lambda: encoded(_with_alpha("RGBA"), "PNG"),
    "png grey alpha": lambda: encoded(_with_alpha("LA"), "PNG"),
    "png 16 bit grey": lambda: encoded(_grey16(), "PNG"),
    "png stored": lambda: encoded(photo(5, 5, 7), "PNG", compress_level=0),
}


@functools.cache
def base_file(name: str) -> bytes:
    """One good file of every kind that is taken."""
    return BASES[name]()


def pillow_pixels(data: bytes) -> Pixels:
    """What the file shows, decoded by Pillow alone: RGB, alpha dropped, 16-bit samples by their upper byte."""
    image: Image.Image = Image.open(io.BytesIO(data))
    image.load()
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.uint32) >> SIXTEEN_BIT_TO_EIGHT).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("LA", "RGBA"):
        return np.asarray(image.convert("RGBA"))[:, :, :3]
    if "transparency" in image.info:
        image = image.convert("RGBA")
        return np.asarray(image)[:, :, :3]
    return np.asarray(image.convert("RGB"))


def spoilt(seed: int) -> tuple[str, bytes]:
    """The broken file number `seed`, and the name of the good one that it was made of."""
    choice = random.Random(seed)
    name = choice.choice(sorted(BASES))
    data = bytearray(base_file(name))
    for _ in range(choice.choice((1, 1, 1, 2, 4))):
        at = choice.randrange(len(data))
        choice.choice(_SPOILERS)(choice, data, at)
    return name, bytes(data)


def _flip_bit(choice: random.Random, data: bytearray, at: int) -> None:
    data[at] ^= 1 << choice.randrange(8)


def _set_byte(choice: random.Random, data: bytearray, at: int) -> None:
    data[at] = choice.choice((0x00, 0xFF, 0xDA, 0xD9, 0xC2))


def _cut(choice: random.Random, data: bytearray, at: int) -> None:
    del data[max(at, 20) :]


def _remove(choice: random.Random, data: bytearray, at: int) -> None:
    del data[max(at, 20) : max(at, 20) + choice.randrange(1, 16)]


def _insert(choice: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = choice.randbytes(choice.randrange(1, 16))


def _repeat(choice: random.Random, data: bytearray, at: int) -> None:
    data[at:at] = data[at : at + choice.randrange(1, 200)]


def _append(choice: random.Random, data: bytearray, at: int) -> None:
    data += choice.randbytes(choice.randrange(1, 100))


_SPOILERS: Final = (_flip_bit, _flip_bit, _flip_bit, _set_byte, _cut, _remove, _insert, _repeat, _append)


def _rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: rotate by 90 degrees
    return exif


def _with_alpha(mode: str) -> Image.Image:
    image = Image.fromarray(photo(9)).convert(mode)
    image.putalpha(Image.fromarray(photo(10)[:, :, 0]))
    return image
