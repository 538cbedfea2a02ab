"""Honest FP16 on a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reflex_export.checking.parity import PolicyRunner
from reflex_export.checking.rounding import RoundedRunner
from reflex_export.graph.graph import GraphBuilder, OnnxModel
from support.checkpoints.golden import ArrayTensors

X = np.array([[1.0003, 2.0007, 1000.3]], np.float32)


def chain() -> OnnxModel:
    """x -> FP16 -> times 3 in FP16 -> FP32."""
    g = GraphBuilder("chain", ArrayTensors({"three": np.full((3, 3), 3.0, np.float32) * np.eye(3)}), compute="FP16")
    x = g.input("x", "FP32", (3,))
    g.output(g.widen(g.op("MatMul", g.halve(x), g.weight("three"))), "y", "FP32", (3,))
    return g.build()


def saved(model: OnnxModel, folder: Path) -> Path:
    folder.mkdir()
    model.save(folder)
    return folder / "model.onnx"


def test_inputs_and_results_of_fp16_operators_are_rounded(tmp_path: Path) -> None:
    found = RoundedRunner([saved(chain(), tmp_path / "m")]).run({"x": X})["y"]

    expected = (X.astype(np.float16).astype(np.float32) * np.float32(3.0)).astype(np.float16)
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_weights_in_a_second_file_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = RoundedRunner([saved(chain(), tmp_path / "small")]).run({"x": X})["y"]
    monkeypatch.setattr("reflex_export.graph.onnx_model._EXTERNAL_FROM_BYTES", 0)
    path = saved(chain(), tmp_path / "large")

    assert (path.parent / "model.onnx.data").is_file()
    np.testing.assert_array_equal(RoundedRunner([path]).run({"x": X})["y"], inside)


def test_models_are_chained_by_the_names_of_their_tensors(tmp_path: Path) -> None:
    g = GraphBuilder("next")
    g.output(g.op("Neg", g.input("y", "FP32", (3,))), "z", "FP32", (3,))
    paths = [saved(chain(), tmp_path / "first"), saved(g.build(), tmp_path / "second")]

    assert RoundedRunner(paths).run({"x": X})["z"][0, 0] == pytest.approx(-3.0, abs=2e-3)
    assert PolicyRunner(paths).run({"x": X})["z"].shape == (1, 3)
