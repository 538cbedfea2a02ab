"""Pictures keep their proportions and never grow; a file that needs no change is sent as it is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from reflex.connector import CameraFrame
from reflex.errors import InvalidRequestError
from reflex_runner.config.sections import TargetConfig
from reflex_runner.transports.pictures import encoded, pixels
from support.images import photo

FRAME = CameraFrame(photo(3, 64, 48), 0.0)


def jpeg(frame: CameraFrame = FRAME) -> bytes:
    return encoded({"top": frame}, TargetConfig())["top"]


@pytest.mark.parametrize(
    ("size", "shape"), [(None, (64, 48)), ((24, 64), (32, 24)), ((48, 16), (16, 12)), ((640, 480), (64, 48))]
)
def test_a_picture_is_made_to_fit_in_its_proportions_and_never_grows(
    size: tuple[int, int] | None, shape: tuple[int, int]
) -> None:
    target = TargetConfig(image_size=size)
    assert pixels({"top": FRAME}, target)["top"].shape == (*shape, 3)
    assert pixels({"top": CameraFrame(jpeg(), 0.0)}, target)["top"].shape == (*shape, 3)
    with Image.open(io.BytesIO(encoded({"top": FRAME}, target)["top"])) as image:
        assert image.size == shape[::-1]


def test_a_file_goes_as_it_is_and_pixels_in_the_quality_that_is_asked_for() -> None:
    assert encoded({"top": CameraFrame(jpeg(), 0.0)}, TargetConfig(jpeg_quality=1))["top"] == jpeg()
    assert len(encoded({"top": FRAME}, TargetConfig(jpeg_quality=10))["top"]) < len(jpeg())


def test_pixels_are_those_of_the_camera() -> None:
    assert np.array_equal(pixels({"top": FRAME}, TargetConfig())["top"], FRAME.image)


@pytest.mark.parametrize(
    "image",
    [
        b"GIF89a",
        b"\xff\xd8\xff cut off",
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused_by_the_name_of_its_camera(image: object) -> None:
    with pytest.raises(InvalidRequestError, match="the picture of camera wrist"):
        pixels({"wrist": CameraFrame(image, 0.0)}, TargetConfig())  # type: ignore[arg-type]
