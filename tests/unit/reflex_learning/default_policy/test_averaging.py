from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from reflex_learning.default_policy.averaging import average
from reflex_learning.errors import TrainingError
from support.checkpoints.random_checkpoint import write_safetensors


def model(folder: Path, scale: float, **more: npt.NDArray[Any]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"scale": scale}))
    weights = {"a": np.full((2, 3), scale, np.float32), "b": np.arange(4, dtype=np.float32) * scale, **more}
    write_safetensors(folder / "model.safetensors", weights, {"format": "pt"})
    return folder


def test_the_mean_is_that_of_every_weight_and_all_else_is_the_last_ones(tmp_path: Path) -> None:
    models = [model(tmp_path / str(scale), scale) for scale in (1.0, 2.0, 6.0)]
    (tmp_path / "mean").mkdir()
    (tmp_path / "mean" / "old").touch()

    average(models, tmp_path / "mean")

    mean = model(tmp_path / "expected", 3.0)
    assert (tmp_path / "mean" / "model.safetensors").read_bytes() == (mean / "model.safetensors").read_bytes()
    assert json.loads((tmp_path / "mean" / "config.json").read_text()) == {"scale": 6.0}
    assert not (tmp_path / "mean" / "old").exists()


def test_what_has_no_mean_is_refused(tmp_path: Path) -> None:
    whole = model(tmp_path / "whole", 1.0)
    other = model(tmp_path / "other", 1.0, c=np.zeros(2, np.float32))
    with pytest.raises(TrainingError, match="not of one model"):
        average([whole, other], tmp_path / "mean")
    halves = model(tmp_path / "halves", 1.0, c=np.zeros(2, np.float16))
    with pytest.raises(TrainingError, match="other numbers than float32"):
        average([halves], tmp_path / "mean")
    torn = model(tmp_path / "torn", 1.0)
    (torn / "model.safetensors").write_bytes((100).to_bytes(8, "little") + b"{")
    with pytest.raises(TrainingError, match="too short"):
        average([torn], tmp_path / "mean")
