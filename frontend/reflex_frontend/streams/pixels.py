"""Pictures as robots' programs hold them, as the pixels that a policy takes: openpi's own conversions, bounded."""

from __future__ import annotations

from typing import Final

import numpy as np

from reflex.errors import ServiceError
from reflex.wire import MAX_PIXELS
from reflex.wire.arrays import Array
from reflex_frontend.observation.images import JPEG_MAGIC, PNG_MAGIC
from reflex_frontend.observation.request import Pixels, refuse

__all__ = ["is_picture", "pixels_of"]

CHANNELS: Final = 3


def is_picture(value: object) -> bool:
    """Whether it can be nothing else: an array of three dimensions or more, or a file's bytes."""
    if isinstance(value, bytes):
        return value.startswith((JPEG_MAGIC, PNG_MAGIC))
    return isinstance(value, np.ndarray) and value.ndim >= 3


def pixels_of(camera: str, array: Array) -> Pixels:
    """uint8 [height, width, 3]: of channels first or last, of floats from 0 to 1, of a batch of one.

    Raises `ServiceError` invalid_image or image_too_large.
    """
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3:
        raise _no_picture(camera, "must be height x width x 3, or 3 x height x width")
    if array.shape[0] == CHANNELS != array.shape[2]:
        array = array.transpose(1, 2, 0)
    if array.shape[2] != CHANNELS:
        raise _no_picture(camera, "must have three channels, red, green and blue")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise refuse("image_too_large", f"the image of {camera} may have at most {MAX_PIXELS} pixels", limit=MAX_PIXELS)
    return _bytes_of(camera, array)


def _bytes_of(camera: str, array: Array) -> Pixels:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise _no_picture(camera, "must be uint8 from 0 to 255, or floats from 0 to 1")
    if array.size and not (float(array.min()) >= 0.0 and float(array.max()) <= 1.0):  # false of NaN, too
        raise _no_picture(camera, "is of floats, and they must be from 0 to 1")
    scaled: Pixels = (255 * array.astype(np.float32, copy=False)).astype(np.uint8)
    return scaled


def _no_picture(camera: str, what: str) -> ServiceError:
    return refuse("invalid_image", f"the image of {camera} {what}", camera=camera)
