"""Pictures as they are sent: made to fit, in their proportions, and encoded or as pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from reflex.connector import CameraFrame
from reflex.errors import service_error
from reflex_runner.config.sections import TargetConfig

__all__ = ["encoded", "pixels"]

JPEG: Final = b"\xff\xd8\xff"
PNG: Final = b"\x89PNG\r\n\x1a\n"


def encoded(cameras: Mapping[str, CameraFrame], target: TargetConfig) -> dict[str, bytes]:
    """Each as a JPEG; one that is a file already goes as it is, where it need not be made smaller."""
    return {name: _file_of(name, frame, target) for name, frame in cameras.items()}


def pixels(cameras: Mapping[str, CameraFrame], target: TargetConfig) -> dict[str, npt.NDArray[np.uint8]]:
    """Each as uint8 height x width x RGB."""
    return {name: np.asarray(_fitted(_image_of(name, frame), target)) for name, frame in cameras.items()}


def _file_of(name: str, frame: CameraFrame, target: TargetConfig) -> bytes:
    if isinstance(frame.image, bytes) and target.image_size is None and frame.image.startswith((JPEG, PNG)):
        return frame.image
    buffer = io.BytesIO()
    _fitted(_image_of(name, frame), target).save(buffer, "JPEG", quality=target.jpeg_quality)
    return buffer.getvalue()


def _image_of(name: str, frame: CameraFrame) -> Image.Image:
    try:
        if isinstance(frame.image, bytes):
            return Image.open(io.BytesIO(frame.image), formats=("JPEG", "PNG")).convert("RGB")
        return Image.fromarray(_checked(name, frame.image))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as exc:
        raise service_error("invalid_image", f"the picture of camera {name} cannot be read: {exc}") from exc


def _checked(name: str, array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise service_error(
            "invalid_image",
            f"the picture of camera {name} is {array.dtype} {array.shape}; it must be uint8 (height, width, 3), RGB",
        )
    return array


def _fitted(image: Image.Image, target: TargetConfig) -> Image.Image:
    """Never larger than it was: that would cost and tell nothing."""
    if target.image_size is not None:
        image.thumbnail(target.image_size, Image.Resampling.BILINEAR)
    return image
