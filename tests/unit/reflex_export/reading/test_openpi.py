from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reflex_export.errors import CheckpointError, SourceError
from reflex_export.reading import read_checkpoint
from support.checkpoints.golden import golden_folder
from support.checkpoints.random_checkpoint import write_safetensors

BASE = golden_folder("variants/pi0_basekeys")
CONVERTED = {"action_dim": 32, "action_horizon": 10, "paligemma_variant": "gemma_2b", "precision": "float32"}


def converted(folder: Path, asset: str = "my_robot") -> Path:
    """What openpi's converter leaves: weights, assets, and a config.json of its own."""
    (folder / "assets" / asset).mkdir(parents=True)
    (folder / "assets" / asset / "norm_stats.json").write_text('{"norm_stats": {}}')
    (folder / "config.json").write_text(json.dumps(CONVERTED))
    shutil.copy(BASE / "model.safetensors", folder)
    return folder


@pytest.mark.parametrize("asset", ["trossen", "physical-intelligence/libero"])
def test_a_converted_checkpoint_is_recognised_with_and_without_its_config(asset: str, tmp_path: Path) -> None:
    folder = converted(tmp_path / "converted", asset)
    expected = r"^This is an openpi checkpoint .* a config\.json of lerobot .*docs/export\.md#openpi$"

    with pytest.raises(SourceError, match=expected):
        read_checkpoint(folder)
    (folder / "config.json").unlink()
    with pytest.raises(SourceError, match=expected):
        read_checkpoint(folder)


@pytest.mark.parametrize("left", ["config.json", "model.safetensors"])
def test_so_is_one_without_assets(left: str, tmp_path: Path) -> None:
    folder = converted(tmp_path / "converted")
    shutil.rmtree(folder / "assets")
    for path in folder.iterdir():
        if path.name != left:
            path.unlink()

    with pytest.raises(SourceError, match=r"^This is an openpi checkpoint"):
        read_checkpoint(folder)


@pytest.mark.parametrize("inside", ["", "params"])
def test_weights_of_jax_are_refused_with_the_command_that_converts_them(inside: str, tmp_path: Path) -> None:
    (tmp_path / inside).mkdir(exist_ok=True)
    (tmp_path / inside / "_METADATA").write_text("{}")

    with pytest.raises(
        SourceError, match=r"^This is an openpi checkpoint .*convert_jax_model_to_pytorch\.py --checkpoint_dir"
    ):
        read_checkpoint(tmp_path)


def test_with_lerobots_files_beside_its_weights_it_is_read(tmp_path: Path) -> None:
    folder = converted(tmp_path / "converted")
    for path in BASE.iterdir():
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        elif path.suffix == ".json" or "processor" in path.name:
            shutil.copy(path, folder)

    found, expected = read_checkpoint(folder), read_checkpoint(BASE)

    assert found.family == "pi0"
    assert found.tensors.names() == expected.tensors.names()


def test_other_weights_without_a_config_are_none_of_openpi(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"model.weight": np.ones(1, np.float32)})
    with pytest.raises(SourceError, match=r"no config\.json; is this a lerobot checkpoint"):
        read_checkpoint(tmp_path)

    (tmp_path / "config.json").write_text('{"action_dim": 7}')
    with pytest.raises(CheckpointError, match=r"without a policy type"):
        read_checkpoint(tmp_path)
