from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from reflex_export.errors import CheckpointError, TensorShapeError
from reflex_export.reading.adapters.merging import Addition, MergedTensors, Origin, addition_of
from support.checkpoints.golden import Array, ArrayTensors

ROUNDING = 1e-6
"""Of a sum of a few float32 of about 1, whose parts may all but cancel."""


def drawn(*shape: int) -> Array:
    """The same in whatever order the tests run."""
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def addition(a: Array, b: Array, scaling: float = 1.0) -> Addition:
    tensors = ArrayTensors({"a": a, "b": b})
    return Addition(Origin(tensors, "a"), Origin(tensors, "b"), scaling)


def merged_tensors(weight: Array, added: Addition) -> MergedTensors:
    base = ArrayTensors({"w": weight})
    return MergedTensors(base, {"w": Origin(base, "w")}, {"w": added}, {})


def test_a_weight_is_merged_when_it_is_asked_for_and_the_base_is_left_as_it_is() -> None:
    weight, a, b = drawn(5, 4), drawn(2, 4), drawn(5, 2)
    before = weight.copy()

    found = merged_tensors(weight, addition(a, b, 1.5)).load("w")

    np.testing.assert_allclose(found, before + 1.5 * (b @ a), rtol=1e-6, atol=ROUNDING)
    assert (weight == before).all()


def test_what_training_added_to_bfloat16_is_not_rounded_away() -> None:
    weight = np.ones((3, 2), ml_dtypes.bfloat16)

    found = merged_tensors(weight, addition(np.full((1, 2), 1e-4, np.float32), np.ones((3, 1), np.float32))).load("w")

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1.0001, rtol=1e-7)


@pytest.mark.filterwarnings("error")
def test_what_overflows_is_merged_without_a_word_of_numpys() -> None:
    a, b = np.full((2, 4), 3e38, np.float32), np.full((5, 2), np.inf, np.float32)

    assert not np.isfinite(merged_tensors(drawn(5, 4), addition(a, -b, 4.0)).load("w")).any()


def test_a_convolution_is_merged_over_its_kernel() -> None:
    weight, a, b = drawn(4, 3, 2, 2), drawn(2, 3, 2, 2), drawn(4, 2, 1, 1)

    found = merged_tensors(weight, addition(a, b)).load("w")

    np.testing.assert_allclose(found, weight + np.einsum("or,rihw->oihw", b[:, :, 0, 0], a), rtol=1e-6, atol=ROUNDING)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 5), (5, 2)),
        ((2, 4), (4, 2)),
        ((2, 4), (5, 3)),
        ((2, 2, 2), (5, 2, 1)),
        ((2, 4), (5, 2, 2)),
        ((2,), (5, 2)),
        ((), ()),
        ((0, 4), (5, 0)),
    ],
)
def test_an_adapter_of_another_shape_is_refused_before_anything_is_computed(
    a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    with pytest.raises(TensorShapeError, match=r"do not fit w, .*\[5, 4\].*--base"):
        merged_tensors(drawn(5, 4), addition(np.zeros(a, np.float32), np.zeros(b, np.float32))).check_shapes()


def test_the_length_that_dora_gives_an_output_does_not_drift_with_its_width() -> None:
    weight = drawn(2, 300_000)
    tensors = ArrayTensors({"a": np.zeros((1, 300_000), np.float32), "b": np.zeros((2, 1), np.float32), "m": drawn(2)})
    added = Addition(Origin(tensors, "a"), Origin(tensors, "b"), 1.0, Origin(tensors, "m"))

    found = merged_tensors(weight, added).load("w").astype(np.float64)

    np.testing.assert_allclose(np.linalg.norm(found, axis=1), abs(tensors.load("m")), rtol=2e-7)


def test_half_an_adapter_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"has only lora_A of q_proj"):
        addition_of("q_proj", {"lora_A": "a"}, ArrayTensors({"a": drawn(2, 4)}), "adapter_model.safetensors")
