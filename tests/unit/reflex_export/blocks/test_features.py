from __future__ import annotations

import numpy as np
import pytest

from reflex_export.blocks.features import normalize_feature, unnormalize_feature
from reflex_export.checkpoint import NormalizationMode, Normalizer
from reflex_export.graph.graph import Array, GraphBuilder
from support.checkpoints.golden import run_model


def vector(*values: float) -> Array:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("mode", "low", "high", "normalized"),
    [
        ("MEAN_STD", ("mean", vector(1, 2)), ("std", vector(0.5, 0)), [2, 0]),
        ("MIN_MAX", ("min", vector(0, 2)), ("max", vector(4, 2)), [0, -1]),
        ("QUANTILES", ("q01", vector(0, 2)), ("q99", vector(8, 2)), [-0.5, -1]),
    ],
)
def test_normalisation_and_its_inverse_agree_and_survive_a_constant_joint(
    mode: NormalizationMode, low: tuple[str, Array], high: tuple[str, Array], normalized: list[float]
) -> None:
    normalizer = Normalizer(mode, dict([low, high]))
    g = GraphBuilder("round_trip")
    value = normalize_feature(g, g.input("x", "FP32", (2,)), normalizer)
    g.output(unnormalize_feature(g, value, normalizer), "y", "FP32", (2,))
    g.output(value, "n", "FP32", (2,))

    found = run_model(g.build(), {"x": vector(2, 2)[None]})

    np.testing.assert_allclose(found["n"], [normalized], rtol=1e-6)
    np.testing.assert_allclose(found["y"], [[2, 2]], rtol=1e-6)
