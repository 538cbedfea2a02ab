"""A camera's picture in a command's answer: a file, the bytes of one, or pixels."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex.client.images import image_file
from reflex.errors import InvalidRequestError

__all__ = ["picture_of"]

FORMS: Final = ({"path"}, {"base64"}, {"rgb", "width", "height"})
MAX_SIDE: Final = 8192


def picture_of(given: Mapping[str, Any], folder: Path) -> npt.NDArray[np.uint8] | bytes:
    """JPEG or PNG as it is, or pixels (H x W x 3, RGB); `ValueError` says what is wrong."""
    keys = set(given) - {"captured_s"}
    if keys not in FORMS:
        raise ValueError('a picture is {"path"}, {"base64"}, or {"rgb", "width", "height"}, and may have "captured_s"')
    if "path" in keys:
        return _file(folder / _text(given, "path"))
    return _pixels(given) if "rgb" in keys else _file(_decoded(given, "base64"))


def _file(source: Path | bytes) -> bytes:
    try:
        return image_file(source)
    except InvalidRequestError as exc:
        raise ValueError(exc.message) from exc


def _pixels(given: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    width, height = given["width"], given["height"]
    if type(width) is not int or type(height) is not int or not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f'"width" and "height" are whole numbers from 1 to {MAX_SIDE}')
    content = _decoded(given, "rgb")
    if len(content) != height * width * 3:
        raise ValueError(
            f'"rgb" holds {len(content):,} bytes instead of the {height * width * 3:,} of height x width x 3'
        )
    return np.frombuffer(content, np.uint8).reshape(height, width, 3)


def _decoded(given: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(_text(given, key).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise ValueError(f'"{key}" is no base64') from exc


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given[key]
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f'"{key}" is no text')
    return value
