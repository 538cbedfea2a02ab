from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from reflex_export.preprocess import build_preprocess
from unit.reflex_export.numpy_policy import letterbox

SIZE = 64
ATOL = 1e-4
"""A fiftieth of the 8-bit grey step: the runtime computes source coordinates in float32."""


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(build_preprocess(["left", "right"], SIZE).content)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 512), (512, 1), (37, 512), (64, 64), (63, 65), (224, 224), (480, 640), (7, 3)]
)
def test_any_size_is_resized_with_its_ratio_kept(
    session: onnxruntime.InferenceSession, height: int, width: int
) -> None:
    random = np.random.RandomState(height * 1000 + width)
    image = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
    other = random.randint(0, 256, (9, 5, 3)).astype(np.uint8)

    (pixels,) = session.run(None, {"image.left": image[None], "image.right": other[None]})

    assert pixels.shape == (1, 2, 3, SIZE, SIZE)
    np.testing.assert_allclose(pixels[0, 0], letterbox(image, SIZE), rtol=0, atol=ATOL)
    np.testing.assert_allclose(pixels[0, 1], letterbox(other, SIZE), rtol=0, atol=ATOL)


def test_white_becomes_one_and_padding_minus_one(session: onnxruntime.InferenceSession) -> None:
    wide = np.full((1, 32, 64, 3), 255, np.uint8)

    (pixels,) = session.run(None, {"image.left": wide, "image.right": wide})

    assert np.unique(pixels[0, 0, :, 16:48]) == pytest.approx([1.0])
    assert np.unique(pixels[0, 0, :, :16]) == pytest.approx([-1.0])
    assert np.unique(pixels[0, 0, :, 48:]) == pytest.approx([-1.0])
