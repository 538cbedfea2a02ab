"""Pictures for a browser and a film: as JPEG files, and as pixels."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["as_jpeg", "as_pixels"]

Picture = npt.NDArray[np.uint8] | bytes

QUALITY: Final = 85
JPEG_BEGINS: Final = b"\xff\xd8"


def as_jpeg(image: Picture) -> bytes | None:
    """The picture as a JPEG file; None for bytes that are no picture."""
    if isinstance(image, bytes) and image.startswith(JPEG_BEGINS):
        return image
    pixels = as_pixels(image)
    if pixels is None:
        return None
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def as_pixels(image: Picture) -> npt.NDArray[np.uint8] | None:
    """The picture as uint8 of shape [height, width, 3]; None for bytes that are no picture."""
    if not isinstance(image, bytes):
        return np.asarray(image, np.uint8)
    try:
        with Image.open(io.BytesIO(image)) as opened:
            return np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
