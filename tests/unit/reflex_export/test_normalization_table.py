"""What stood still in training is said of joints, and of nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reflex_export.checkpoint import NormalizationMode, Normalizer
from reflex_export.normalization_table import normalization_table
from support.checkpoints.golden import golden_checkpoint


@pytest.mark.parametrize(
    ("mode", "first", "second"),
    [("MEAN_STD", "mean", "std"), ("MIN_MAX", "min", "max"), ("QUANTILES", "q01", "q99"), ("QUANTILE10", "q10", "q90")],
)
def test_an_axis_without_a_spread_never_moved(mode: NormalizationMode, first: str, second: str) -> None:
    where, spread = np.array([3, 0, -2, 5], np.float32), np.array([1, 0, 2, 1e-7], np.float32)
    normalizer = Normalizer(mode, {first: where, second: spread if mode == "MEAN_STD" else where + spread})
    state, *_ = normalization_table(replace(golden_checkpoint("act"), state=normalizer))
    assert (state.feature, state.statistics, state.never_moved) == ("observation.state", (first, second), (1, 3))


def test_a_picture_without_a_spread_is_no_joint_that_stood_still() -> None:
    checkpoint = golden_checkpoint("act")
    black = Normalizer("MEAN_STD", {name: np.zeros((3, 1, 1), np.float32) for name in ("mean", "std")})
    rows = normalization_table(replace(checkpoint, images=dict.fromkeys(checkpoint.images, black)))
    assert {row.feature: row.never_moved for row in rows if row.feature in checkpoint.images} == dict.fromkeys(
        checkpoint.images, ()
    )
    assert len(rows) > len(checkpoint.images)
