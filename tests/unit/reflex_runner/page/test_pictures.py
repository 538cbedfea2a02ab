from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from reflex_runner.page.pictures import as_jpeg, as_pixels

PIXELS = np.full((8, 12, 3), (200, 30, 30), np.uint8)


def file_of(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


def test_pixels_become_a_jpeg_of_the_same_size() -> None:
    jpeg = as_jpeg(PIXELS)
    assert jpeg is not None
    with Image.open(io.BytesIO(jpeg)) as opened:
        assert (opened.format, opened.size) == ("JPEG", (12, 8))


def test_a_jpeg_is_passed_on_as_it_is_and_a_png_is_made_one() -> None:
    jpeg = file_of("JPEG")
    assert as_jpeg(jpeg) is jpeg
    made = as_jpeg(file_of("PNG"))
    assert made is not None
    assert made.startswith(b"\xff\xd8")


def test_files_are_read_as_pixels() -> None:
    pixels = as_pixels(file_of("PNG"))
    assert pixels is not None
    np.testing.assert_array_equal(pixels, PIXELS)
    assert as_pixels(PIXELS) is PIXELS


@pytest.mark.parametrize("damaged", [b"", b"no picture", file_of("PNG")[:40]])
def test_bytes_that_are_no_picture_are_none(damaged: bytes) -> None:
    assert as_pixels(damaged) is None
    assert as_jpeg(damaged) is None
