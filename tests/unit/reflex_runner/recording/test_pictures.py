"""A camera's picture, as bytes and as pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from reflex.connector import CameraFrame
from reflex_runner.recording.pictures import Picture
from support.run_recording.runs import number_in, picture


def png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def test_the_file_that_a_camera_gives_is_kept_to_the_byte() -> None:
    given = png(picture(5))
    taken = Picture(CameraFrame(given))

    assert (taken.encoded, taken.format, taken.suffix) == (given, "png", ".png")
    assert taken.pixels is not None
    assert (taken.pixels == picture(5)).all()


def test_pixels_become_a_jpeg() -> None:
    taken = Picture(CameraFrame(picture(77)))

    assert taken.encoded is not None
    assert (taken.encoded[:3], taken.suffix) == (b"\xff\xd8\xff", ".jpg")
    assert number_in(np.asarray(Image.open(io.BytesIO(taken.encoded)))) == 77


def test_a_file_of_another_kind_becomes_a_jpeg() -> None:
    taken = Picture(CameraFrame(png(picture(9), "WEBP")))

    assert taken.encoded is not None
    assert taken.encoded[:3] == b"\xff\xd8\xff"


@pytest.mark.parametrize(
    "image",
    [b"", b"no picture", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)],
    ids=["nothing", "text", "grey", "float", "empty"],
)
def test_what_is_no_picture_has_neither_bytes_nor_pixels(image: bytes) -> None:
    taken = Picture(CameraFrame(image))

    assert (taken.encoded, taken.pixels) == (None, None)


def test_a_damaged_jpeg_has_no_pixels() -> None:
    whole = Picture(CameraFrame(picture(1))).encoded
    assert whole is not None

    assert Picture(CameraFrame(whole[:40])).pixels is None
