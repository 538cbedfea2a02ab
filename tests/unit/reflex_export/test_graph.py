from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from reflex_export.graph import GraphBuilder
from reflex_export.normalization import MeanStd, normalize, unnormalize


def test_weight_or_constant_used_twice_is_stored_once() -> None:
    g = GraphBuilder("twice", {"w": np.ones((2, 2), np.float32)})
    x = g.input("x", "FP32", (2,))
    for _ in range(2):
        x = g.op("Add", g.op("MatMul", x, g.weight("w")), g.constant([0.5, 0.5]))
    g.output(x, "y", "FP32", (2,))

    model = g.build()

    assert len(onnx.load_from_string(model.content).graph.initializer) == 2
    (y,) = onnxruntime.InferenceSession(model.content).run(None, {"x": np.zeros((3, 2), np.float32)})
    np.testing.assert_array_equal(y, np.full((3, 2), 1.5))


def test_equal_bytes_of_another_type_are_another_constant() -> None:
    g = GraphBuilder("types")

    assert g.constant([0, 0], np.int64) is not g.constant([0, 0], np.float64)
    assert g.ints(1, 2) is g.ints(1, 2)


def test_missing_weight_is_named() -> None:
    with pytest.raises(KeyError, match=r"layers\.0"):
        GraphBuilder("empty").weight("layers.0")


def test_normalisation_and_its_inverse_agree_and_survive_a_constant_joint() -> None:
    statistics = MeanStd(mean=(1.0, 2.0), std=(0.5, 0.0))
    g = GraphBuilder("round_trip")
    normalized = normalize(g, g.input("x", "FP32", (2,)), statistics)
    g.output(unnormalize(g, normalized, statistics), "y", "FP32", (2,))
    g.output(normalized, "n", "FP32", (2,))

    y, n = onnxruntime.InferenceSession(g.build().content).run(None, {"x": np.array([[2.0, 2.0]], np.float32)})

    np.testing.assert_allclose(n, [[2.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(y, [[2.0, 2.0]], rtol=1e-6)


def test_statistics_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 means but 1"):
        MeanStd(mean=(0.0, 0.0), std=(1.0,))
