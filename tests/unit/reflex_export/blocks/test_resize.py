from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from reflex.numerics import max_abs
from reflex_export.blocks.resize import Placement, build_resizing_preprocess
from support.checkpoints.golden import run_model

Array = npt.NDArray[Any]
HEIGHT, WIDTH = 60, 90
ATOL = 1e-5


def reference(image: Array, placement: Placement) -> Array:
    """PyTorch's bilinear interpolation, whose source positions are float32."""
    one, half = np.float32(1), np.float32(0.5)
    ratio = max(image.shape[1] / WIDTH, image.shape[0] / HEIGHT)
    inner = [max(1, int(side / ratio)) for side in image.shape[:2]]
    picture: Array = image.astype(np.float32) / np.float32(255)
    for axis, after in enumerate(inner):
        before = picture.shape[axis]
        scale = np.float32(before) / np.float32(after)
        position = np.maximum(scale * (np.arange(after, dtype=np.float32) + half) - half, np.float32(0))
        lower = np.minimum(position.astype(np.int64), before - 1)
        share: Array = (position - lower.astype(np.float32)).reshape([-1 if a == axis else 1 for a in range(3)])
        upper = picture.take(np.minimum(lower + 1, before - 1), axis)
        picture = picture.take(lower, axis) * (one - share) + upper * share
    top, left = HEIGHT - inner[0], WIDTH - inner[1]
    if placement == "centred":
        top, left = top // 2, left // 2
    frame = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    frame[top : top + inner[0], left : left + inner[1]] = picture
    return (frame * 2 - 1).transpose(2, 0, 1)


@pytest.mark.parametrize("placement", ["centred", "bottom_right"])
@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 512), (333, 7), (60, 90), (61, 89), (480, 640), (720, 1280), (1080, 1920)]
)
def test_any_size_is_resized_as_in_training(placement: Placement, height: int, width: int) -> None:
    model = build_resizing_preprocess(["camera"], (HEIGHT, WIDTH), placement)
    image = np.random.RandomState(height + width).randint(0, 256, (height, width, 3)).astype(np.uint8)

    pixels = run_model(model, {"image.camera": image[None]})["pixels.camera"][0]

    assert max_abs(pixels, reference(image, placement)) <= ATOL
