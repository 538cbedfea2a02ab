from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reflex.client.images import encode_image
from reflex.errors import InvalidRequestError
from reflex.wire import MAX_BODY_BYTES


def decoded(text: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    image.load()
    return image


def png_bytes() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (255, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_array_becomes_a_jpeg_of_its_size_and_colours() -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[..., 0] = 250
    image = decoded(encode_image(frame))
    assert (image.format, image.size, image.mode) == ("JPEG", (64, 48), "RGB")
    red, green, blue = np.asarray(image)[24, 32]
    assert red > 240
    assert max(green, blue) < 15


def test_a_view_with_its_channels_turned_round_keeps_its_meaning() -> None:
    blue_first = np.zeros((48, 64, 3), np.uint8)
    blue_first[..., 0] = 250
    red, _, blue = np.asarray(decoded(encode_image(blue_first[..., ::-1])))[24, 32]
    assert red < 15
    assert blue > 240


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_a_pil_image_of_any_mode_becomes_an_rgb_jpeg(mode: str) -> None:
    image = decoded(encode_image(Image.new(mode, (8, 6))))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (8, 6))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_bytes_of_a_file_are_sent_as_they_are(kind: Any) -> None:
    assert base64.b64decode(encode_image(kind(png_bytes()))) == png_bytes()


def test_a_path_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cup.png"
    path.write_bytes(png_bytes())
    assert base64.b64decode(encode_image(path)) == png_bytes()


@pytest.mark.parametrize(
    ("image", "code", "hint"),
    [
        (np.zeros((4, 4, 3), np.float32), "wrong_type", "astype"),
        (np.zeros((4, 4), np.uint8), "invalid_image", "height, width, 3"),
        (np.zeros((3, 4, 4), np.uint8), "invalid_image", "height, width, 3"),
        (np.zeros((0, 4, 3), np.uint8), "invalid_image", "height, width, 3"),
        (b"GIF89a", "invalid_image", "neither a JPEG nor a PNG"),
        ("cup.jpg", "wrong_type", "pathlib.Path"),
        (Path("/nonexistent/cup.jpg"), "invalid_image", "cannot be read"),
    ],
)
def test_what_is_no_image_is_refused_with_what_to_pass_instead(image: Any, code: str, hint: str) -> None:
    with pytest.raises(InvalidRequestError, match=hint) as caught:
        encode_image(image)
    assert caught.value.code == code


@pytest.mark.parametrize("made", ["device", "pipe", "folder", "large"])
def test_a_path_that_is_no_picture_is_refused_before_it_fills_memory(tmp_path: Path, made: str) -> None:
    path = Path("/dev/zero") if made == "device" else tmp_path / made
    if made == "pipe":
        os.mkfifo(path)
    elif made == "folder":
        path.mkdir()
    elif made == "large":
        path.write_bytes(b"\xff\xd8\xff")
        os.truncate(path, 1 << 40)
    with pytest.raises(InvalidRequestError, match="8 MiB" if made == "large" else "is no file"):
        encode_image(path)


def test_bytes_beyond_what_a_request_may_have_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="8 MiB") as caught:
        encode_image(b"\xff\xd8\xff" + bytes(MAX_BODY_BYTES))
    assert caught.value.code == "payload_too_large"
    encode_image((b"\xff\xd8\xff" + bytes(MAX_BODY_BYTES))[:MAX_BODY_BYTES])
