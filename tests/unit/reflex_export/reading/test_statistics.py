from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex_export.errors import StatisticsError, UnsupportedOptionError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.statistics import statistics_in_weights, statistics_of
from reflex_export.reading.tensors import open_file
from support.checkpoints.random_checkpoint import write_checkpoint, write_safetensors
from support.checkpoints.sizes import PiSizes, SmolVlaSizes
from unit.reflex_export.reading.damage import CopyCheckpoint, EmptyHub, edit_json, edit_tensors

STATE_FILE = "policy_preprocessor_step_5_normalizer_processor.safetensors"
THREE = np.array([1.0, 2.0, 3.0], np.float32)


def file_of(path: Path, tensors: dict[str, Any]) -> Any:
    write_safetensors(path, tensors)
    return open_file(path)


def test_statistics_are_split_into_feature_and_kind(tmp_path: Path) -> None:
    tensors = {"observation.state.mean": THREE, "observation.state.count": THREE, "action.std": THREE}
    statistics = statistics_of(file_of(tmp_path / "f.safetensors", tensors), "f.safetensors")
    assert {feature: set(found.values) for feature, found in statistics.items()} == {
        "observation.state": {"mean"},
        "action": {"std"},
    }


def test_a_checkpoint_with_statistics_of_another_robot_is_refused(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    edit_tensors(folder / STATE_FILE, lambda t: t.update({"observation.state.mean": np.zeros(7, np.float32)}))
    with pytest.raises(StatisticsError, match=r"observation\.state\.mean has the shape \(7,\).*wants \(6,\)"):
        read_checkpoint(folder)


def test_statistics_of_other_robots_only_are_refused_with_their_names(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    names = ("so100.buffer.action.mean", "so100.buffer.action.std", "so100-red.buffer.action.mean")
    for path in folder.glob("policy_*.safetensors"):
        write_safetensors(path, {name: np.ones(6, np.float32) for name in names})
    there = r"only those of so100-red\.buffer\.action, so100\.buffer\.action\)"
    with pytest.raises(StatisticsError, match=rf"observation\.state is normalised by MEAN_STD.*{there}.*--stats"):
        read_checkpoint(folder)


def test_values_that_are_passed_on_unscaled_on_purpose_need_no_statistics(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    for path in folder.glob("policy_*.safetensors"):
        write_safetensors(path, {"so100.buffer.action.mean": np.ones(6, np.float32)})
    for path in folder.glob("policy_*processor.json"):
        edit_json(path, pass_on_unscaled)
    checkpoint = read_checkpoint(folder)
    assert (checkpoint.state.mode, checkpoint.action.mode) == ("IDENTITY", "IDENTITY")


def pass_on_unscaled(pipeline: dict[str, Any]) -> None:
    for step in pipeline["steps"]:
        if "norm_map" in step["config"]:
            step["config"]["norm_map"] = dict.fromkeys(("VISUAL", "STATE", "ACTION"), "IDENTITY")


def old_style(folder: Path) -> dict[str, Any]:
    """Turn a checkpoint into one of lerobot before 0.4: statistics as buffers, no processor files."""
    statistics = statistics_of(open_file(next(folder.glob("policy_preprocessor*.safetensors"))), "")
    buffers: dict[str, Any] = {}
    for feature, found in statistics.items():
        part = "unnormalize_outputs" if feature == "action" else "normalize_inputs"
        for kind, values in found.values.items():
            buffers[f"{part}.buffer_{feature.replace('.', '_')}.{kind}"] = values
    for path in folder.glob("policy_*"):
        path.unlink()
    edit_tensors(folder / "model.safetensors", lambda tensors: tensors.update(buffers))
    return buffers


@pytest.mark.parametrize("name", ["smolvla", "pi05", "act", "diffusion"])
def test_statistics_inside_old_weights_are_read(copy: CopyCheckpoint, name: str) -> None:
    folder = copy(name)
    today = read_checkpoint(folder)
    old_style(folder)
    before = read_checkpoint(folder)
    for now, then in ((today.state, before.state), (today.action, before.action)):
        assert (now.mode, set(now.statistics)) == (then.mode, set(then.statistics))
        assert all(np.array_equal(now.statistics[kind], then.statistics[kind]) for kind in now.statistics)
    assert {key: n.mode for key, n in before.images.items()} == {key: n.mode for key, n in today.images.items()}
    assert before.text == today.text


def test_old_statistics_of_the_wrong_length_are_refused(copy: CopyCheckpoint) -> None:
    folder = copy("act")
    name = "unnormalize_outputs.buffer_action.mean"
    old_style(folder)
    edit_tensors(folder / "model.safetensors", lambda tensors: tensors.update({name: np.ones(3, np.float32)}))
    with pytest.raises(StatisticsError, match=r"action\.mean has the shape \(3,\)"):
        read_checkpoint(folder)


def test_old_buffers_of_other_robots_keep_their_own_name(tmp_path: Path) -> None:
    tensors = {"unnormalize_outputs.so100.buffer_action.mean": THREE}
    found = statistics_in_weights(file_of(tmp_path / "f.safetensors", tensors), ("action",), "f.safetensors")
    assert list(found) == ["unnormalize_outputs.so100.buffer_action"]


def test_a_checkpoint_without_any_statistics_is_refused(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    for path in folder.glob("policy_*"):
        path.unlink()
    with pytest.raises(StatisticsError, match=r"neither policy_preprocessor\.json nor statistics inside its weights"):
        read_checkpoint(folder)


def test_a_checkpoint_that_normalises_nothing_needs_no_statistics(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    for path in folder.glob("policy_*"):
        path.unlink()
    identity = dict.fromkeys(("VISUAL", "STATE", "ACTION"), "IDENTITY")
    edit_json(folder / "config.json", lambda config: config.update(normalization_mapping=identity))
    assert read_checkpoint(folder).state.mode == "IDENTITY"


@pytest.mark.parametrize("mode", ["MEAN_STD", "MIN_MAX", "QUANTILES", "QUANTILE10", "IDENTITY"])
def test_every_mode_is_read(tmp_path: Path, hub: EmptyHub, mode: str) -> None:
    sizes = SmolVlaSizes(normalization={"STATE": mode, "ACTION": mode})
    checkpoint = read_checkpoint(write_checkpoint(tmp_path / "checkpoint", sizes), hub=hub)
    assert checkpoint.state.mode == checkpoint.action.mode == mode


def test_images_of_a_vla_that_would_be_normalised_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", PiSizes(normalization={"VISUAL": "MEAN_STD"}))
    three = np.ones((3, 1, 1), np.float32)
    images = {f"observation.images.{name}.{kind}": three for name in ("front", "wrist") for kind in ("mean", "std")}
    edit_tensors(next(folder.glob("policy_pre*.safetensors")), lambda tensors: tensors.update(images))
    with pytest.raises(UnsupportedOptionError, match=r"observation.images.front is normalised by MEAN_STD"):
        read_checkpoint(folder)
