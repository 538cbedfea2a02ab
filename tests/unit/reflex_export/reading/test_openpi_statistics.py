"""Held against openpi's own formulas: (x - mean) / (std + 1e-6), 2 (x - q01) / (q99 - q01 + 1e-6) - 1, and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex_export.checkpoint import Checkpoint, Family
from reflex_export.errors import CheckpointError
from reflex_export.families.family_graphs import build_graphs
from reflex_export.reading import read_checkpoint
from support.checkpoints.altered import options_of
from support.checkpoints.golden import Array, golden_case, golden_folder, observation_feeds, run_graphs
from unit.reflex_export.reading.damage import edit_json

FAMILIES: tuple[Family, ...] = ("pi0", "pi05")
MODES = {"pi0": "MEAN_STD", "pi05": "QUANTILES"}
KEYS = ("state", "actions")
LONGER = 32


def numbers(family: Family, key: str) -> dict[str, Array]:
    """Of a vector that is padded to the widest, as openpi's may be; one axis does not move."""
    generator = np.random.default_rng(len(family + key))
    low, wide = generator.normal(size=LONGER), generator.uniform(0.5, 2, LONGER)
    wide[2] = 0
    return {"mean": low, "std": wide, "q01": low - 1, "q99": low - 1 + wide}


def openpi_folder(folder: Path, family: Family, **changes: Any) -> Path:
    """Weights and statistics of openpi, config.json of lerobot."""
    source = golden_folder(family)
    asset = folder / "assets" / "physical-intelligence" / "libero"
    asset.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(source / name, folder)
    shutil.copytree(source / "tokenizer", folder / "tokenizer")
    lists = {key: {name: array.tolist() for name, array in numbers(family, key).items()} for key in KEYS}
    (asset / "norm_stats.json").write_text(json.dumps({"norm_stats": lists}))
    modes = {"VISUAL": "IDENTITY", "STATE": MODES[family], "ACTION": MODES[family]}
    edit_json(folder / "config.json", lambda config: config.update({"normalization_mapping": modes, **changes}))
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_that_should_be_normalised_are_refused(family: Family, tmp_path: Path) -> None:
    modes = {"VISUAL": "MEAN_STD", "STATE": MODES[family], "ACTION": MODES[family]}
    folder = openpi_folder(tmp_path / "openpi", family, normalization_mapping=modes)
    with pytest.raises(CheckpointError, match=r"observation\.images\.base is normalised by MEAN_STD, but"):
        read_checkpoint(folder)


def answered(checkpoint: Checkpoint) -> dict[str, Array]:
    case = golden_case(checkpoint.family, "case_2")
    feeds = observation_feeds(case, checkpoint)
    options = options_of(checkpoint)
    horizon, width = options["chunk_size"], options["max_action_dim"]
    feeds |= {
        "prev_chunk": np.zeros((1, horizon, width), np.float32),
        "rtc_weights": np.zeros((1, horizon), np.float32),
    }
    feeds["rtc_max_guidance"] = np.zeros((1, 1), np.float32)
    return run_graphs(build_graphs(checkpoint, (1,), "fp32"), 1, feeds)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_actions_are_what_openpi_makes_of_them(family: Family, tmp_path: Path) -> None:
    answer = answered(read_checkpoint(openpi_folder(tmp_path / "openpi", family)))

    found, normalized = answer["actions"], answer["actions_normalized"].astype(np.float64)
    n = {name: array[: found.shape[-1]] for name, array in numbers(family, "actions").items()}
    if family == "pi0":
        expected = normalized * (n["std"] + 1e-6) + n["mean"]
    else:
        expected = (normalized + 1) / 2 * (n["q99"] - n["q01"] + 1e-6) + n["q01"]

    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_state_is_normalised_as_openpi_does(family: Family, tmp_path: Path) -> None:
    checkpoint = read_checkpoint(openpi_folder(tmp_path / "openpi", family))
    state = numbers(family, "state")
    dim = checkpoint.state_dim

    assert checkpoint.warnings == ()
    assert checkpoint.state.mode == MODES[family]
    if family == "pi0":
        np.testing.assert_allclose(checkpoint.state.statistics["std"], state["std"][:dim] + 1e-6, rtol=1e-6)
        assert checkpoint.state.eps < 1e-9
    else:
        np.testing.assert_allclose(checkpoint.state.statistics["q99"], state["q99"][:dim] + 1e-6, rtol=1e-6)
        assert checkpoint.state.eps == 1e-6


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"use_relative_actions": True}, "use_relative_actions needs policy_preprocessor.json"),
        ({"normalization_mapping": {"STATE": "QUANTILES", "ACTION": "MEAN_STD"}}, "openpi normalises pi0 by MEAN_STD"),
        ({"normalization_mapping": {"STATE": "MEAN_STD"}}, "None for ACTION"),
    ],
)
def test_a_config_that_openpi_would_not_follow_is_refused(changes: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        read_checkpoint(openpi_folder(tmp_path / "openpi", "pi0", **changes))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "norm_stats must be of type dict"),
        ({"norm_stats": {"state": {}}}, "actions must be of type dict"),
        ({"norm_stats": {"state": {"mean": [[1]]}, "actions": {}}}, "state.mean must be a list of numbers"),
        ({"norm_stats": {"state": {"mean": [0], "std": [1]}, "actions": {}}}, "observation.state.mean has the shape"),
        ({"norm_stats": {"state": {"mean": [0] * 9, "std": None}, "actions": {}}}, "lack std"),
    ],
)
def test_statistics_that_are_not_the_policys_are_refused(content: Any, reason: str, tmp_path: Path) -> None:
    folder = openpi_folder(tmp_path / "openpi", "pi0")
    next(folder.glob("assets/*/*/norm_stats.json")).write_text(json.dumps(content))

    with pytest.raises(CheckpointError, match=reason):
        read_checkpoint(folder)


def test_of_two_robots_statistics_none_is_taken(tmp_path: Path) -> None:
    folder = openpi_folder(tmp_path / "openpi", "pi0")
    shutil.copytree(folder / "assets" / "physical-intelligence" / "libero", folder / "assets" / "trossen")

    with pytest.raises(CheckpointError, match=r"libero and assets/trossen; keep those"):
        read_checkpoint(folder)
