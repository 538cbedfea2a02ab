from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from reflex_export.graph.graph import GraphBuilder


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
