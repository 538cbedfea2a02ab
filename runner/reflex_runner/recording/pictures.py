"""A camera's picture as the formats want it: as a file's bytes, or as pixels; each is made once."""

from __future__ import annotations

import io
from functools import cached_property
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from reflex.connector import CameraFrame

__all__ = ["Picture", "PictureFormat"]

PictureFormat = Literal["jpeg", "png"]
JPEG_QUALITY: Final = 90
CHANNELS: Final = 3
_BEGINS: Final[dict[bytes, PictureFormat]] = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png"}


class Picture:
    """One frame of one camera. What is no picture has neither `encoded` nor `pixels`."""

    def __init__(self, frame: CameraFrame) -> None:
        self.captured_s = frame.captured_s
        self._image = frame.image

    @property
    def image(self) -> npt.NDArray[np.uint8] | bytes:
        """As the camera gave it."""
        return self._image

    @property
    def size_bytes(self) -> int:
        """What it holds while it waits to be written."""
        return len(self._image) if isinstance(self._image, bytes) else self._image.nbytes

    @property
    def format(self) -> PictureFormat:
        """Of `encoded`."""
        return self._given_format or "jpeg"

    @property
    def suffix(self) -> str:
        """Of a file that holds `encoded`."""
        return ".png" if self.format == "png" else ".jpg"

    @cached_property
    def encoded(self) -> bytes | None:
        """The bytes of a JPEG or PNG file: as the camera gave them, else a JPEG of the pixels."""
        if self._given_format is not None and isinstance(self._image, bytes):
            return self._image
        return None if self.pixels is None else _jpeg(self.pixels)

    @cached_property
    def pixels(self) -> npt.NDArray[np.uint8] | None:
        """uint8 [height, width, 3], RGB."""
        pixels = _decoded(self._image) if isinstance(self._image, bytes) else self._image
        return pixels if pixels is not None and _is_rgb(pixels) else None

    @cached_property
    def _given_format(self) -> PictureFormat | None:
        if not isinstance(self._image, bytes):
            return None
        return next((name for begin, name in _BEGINS.items() if self._image.startswith(begin)), None)


def _is_rgb(pixels: npt.NDArray[np.uint8]) -> bool:
    return pixels.dtype == np.uint8 and pixels.ndim == CHANNELS and pixels.shape[2] == CHANNELS and pixels.size > 0


def _decoded(file: bytes) -> npt.NDArray[np.uint8] | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(file)) as image:
            return np.asarray(image.convert("RGB"))
    except Exception:  # noqa: BLE001  # a decoder meets damaged bytes in many ways, and all mean the same
        return None


def _jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()
