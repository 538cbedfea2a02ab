from __future__ import annotations

import json
from pathlib import Path

import pytest

from reflex_learning.default_policy.recipe import Recipe
from reflex_learning.default_policy.training import Training
from reflex_learning.errors import TrainingError
from support.trainer.stub import dataset_in, stub_python

RECIPE = Recipe(steps=100, save_every=50, averaged=2)


def training(folder: Path, python: Path, said: list[str]) -> Training:
    return Training(folder=folder, dataset=dataset_in(folder), episodes=[0, 1], python=python, say=said.append)


def test_it_trains_through_the_worker_and_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_TRAINER", json.dumps({"step_s": 0.002}))
    said: list[str] = []

    made = training(tmp_path, stub_python(tmp_path / "environment"), said).train(RECIPE)

    assert made["steps"] == 100
    assert Path(made["model"]) == tmp_path / "averaged"
    checkpoints = tmp_path / "runs" / "default" / "training" / "checkpoints"
    assert {each.name for each in checkpoints.iterdir()} == {"000050", "000100", "last"}
    assert said[-1].startswith("  step 100 of 100: loss ")
    again = list[str]()
    assert training(tmp_path, stub_python(tmp_path / "environment"), again).train(RECIPE)["model"] == made["model"]
    assert again == []


def test_a_training_that_fails_says_why_and_where_its_log_is(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot be started.*its log is .*log\.txt"):
        training(tmp_path, tmp_path / "no-python", []).train(RECIPE)
