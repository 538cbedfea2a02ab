"""Pictures as robots' programs hold them become the pixels that openpi would make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reflex.errors import InvalidRequestError
from reflex_frontend.streams.pixels import is_picture, pixels_of
from support.images import encoded, photo

PIXELS = photo(height=4, width=5)


@pytest.mark.parametrize(
    "array",
    [
        PIXELS,
        PIXELS.transpose(2, 0, 1),
        PIXELS[None],
        PIXELS[None, None],
        PIXELS.astype(np.float64) / 255,
        (PIXELS.transpose(2, 0, 1) / 255).astype(np.float32)[None],
    ],
    ids=["as it is", "channels first", "a batch of one", "of one of one", "floats", "as torch has it"],
)
def test_layouts_and_types_in_use_are_the_same_picture(array: Any) -> None:
    found = pixels_of("top", array)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - PIXELS).max() <= (0 if array.dtype == np.uint8 else 1)


def test_floats_are_scaled_as_openpi_scales_them() -> None:
    floats = np.linspace(0, 1, 4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
    assert np.array_equal(pixels_of("top", floats), (255 * floats).astype(np.uint8))


def test_a_picture_of_three_rows_has_its_channels_last_where_they_may_be() -> None:
    assert pixels_of("top", PIXELS[:3]).shape == (3, 5, 3)
    assert pixels_of("top", PIXELS[:3, :3]).shape == (3, 3, 3)


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (PIXELS[:, :, 0], "invalid_image"),
        (np.stack([PIXELS, PIXELS]), "invalid_image"),
        (np.zeros((4, 5, 4), np.uint8), "invalid_image"),
        (np.zeros((4, 5, 1), np.uint8), "invalid_image"),
        (PIXELS.astype(np.int64), "invalid_image"),
        (PIXELS.astype(np.float32), "invalid_image"),
        (np.full((4, 5, 3), np.nan, np.float32), "invalid_image"),
        (np.full((4, 5, 3), -0.1, np.float32), "invalid_image"),
        (np.full((4, 5, 3), np.inf, np.float32), "invalid_image"),
        (np.broadcast_to(np.uint8(0), (2001, 2000, 3)), "image_too_large"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_camera(array: Any, code: str) -> None:
    with pytest.raises(InvalidRequestError, match="the image of top") as caught:
        pixels_of("top", array)
    assert caught.value.code == code


def test_pictures_are_told_from_numbers_and_names() -> None:
    assert all(map(is_picture, (PIXELS, PIXELS[None], encoded(PIXELS), encoded(PIXELS, "PNG"))))
    assert not any(map(is_picture, (np.zeros(6), np.zeros((50, 32)), b"abc", "abc", 3, None, [[[1, 2, 3]]])))
