"""From whatever a robot program holds as an image to the base64 that `/act` takes.

The server decodes JPEG and PNG only. Bytes and files are sent as they are; pixels become a JPEG of quality 90.
"""

from __future__ import annotations

import base64
import io
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from PIL import Image

from reflex.errors import ServiceError, service_error
from reflex.wire import MAX_BODY_BYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ImageInput", "encode_image", "image_file"]

ImageInput: TypeAlias = "NDArray[np.uint8] | Image.Image | bytes | Path"

JPEG_QUALITY: Final = 90
_FILE_STARTS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def encode_image(image: ImageInput) -> str:
    """Base64 of a JPEG or PNG. An array is uint8, height x width x 3, RGB; a Path is read.

    `InvalidRequestError` (`invalid_image`, `wrong_type`) says what is wrong with it, before anything is sent.
    """
    return base64.b64encode(image_file(image)).decode("ascii")


def image_file(image: object) -> bytes:
    """The JPEG or PNG itself, as a stream carries it."""
    if isinstance(image, bytes | bytearray | memoryview):
        return _checked_file(bytes(image), "these bytes are")
    if isinstance(image, Path):
        return _checked_file(_read(image), f"{image} is")
    if isinstance(image, Image.Image):
        return _jpeg(image)
    if hasattr(image, "__array_interface__"):
        return _jpeg(_from_array(image))
    raise _refusal(
        "wrong_type",
        f"an image cannot be a {type(image).__name__}; pass a numpy uint8 array (height x width x 3, RGB), "
        "a PIL image, the bytes of a JPEG or PNG, or a pathlib.Path",
    )


def _checked_file(content: bytes, what: str) -> bytes:
    if len(content) > MAX_BODY_BYTES:
        raise _refusal("payload_too_large", f"{what} more than 8 MiB, the most of a request; make it smaller")
    if not content.startswith(_FILE_STARTS):
        raise _refusal("invalid_image", f"{what} neither a JPEG nor a PNG; convert the image first")
    return content


def _read(path: Path) -> bytes:
    """At most a byte more than may be sent: the path may be that of a video, a pipe, or a device without end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _refusal("invalid_image", f"{path} is no file; give that of a JPEG or PNG")
        with path.open("rb") as file:
            return file.read(MAX_BODY_BYTES + 1)
    except OSError as exc:
        raise _refusal("invalid_image", f"{path} cannot be read: {exc.strerror}") from exc


def _from_array(array: object) -> Image.Image:
    # numpy's own protocol, so that a program without numpy never pays for its import.
    interface = array.__array_interface__  # type: ignore[attr-defined]  # the caller has looked
    shape, kind = interface["shape"], interface["typestr"]
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise _refusal("invalid_image", f"the array's shape is {tuple(shape)}; it must be (height, width, 3), RGB")
    if kind != "|u1":
        raise _refusal("wrong_type", f"the array's type is {kind}; scale it to 0..255 and use .astype(numpy.uint8)")
    return Image.fromarray(array)  # type: ignore[arg-type]  # same protocol


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _refusal(code: str, message: str) -> ServiceError:
    return service_error(code, message)
