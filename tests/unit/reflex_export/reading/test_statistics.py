from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex_export.errors import StatisticsError, UnsupportedOptionError
from reflex_export.reading import read_checkpoint
from reflex_export.reading.statistics import build_normalizer, mode_of, statistics_in_weights, statistics_of
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
    statistics = statistics_of(file_of(tmp_path / "f.safetensors", tensors))
    assert {feature: set(kinds) for feature, kinds in statistics.items()} == {
        "observation.state": {"mean"},
        "action": {"std"},
    }


def test_double_precision_statistics_become_single() -> None:
    normalizer = build_normalizer("MEAN_STD", {"a": {"mean": THREE, "std": THREE}}, "a", (3,), 1e-6)
    assert normalizer.statistics["mean"].dtype == np.float32
    assert normalizer.eps == 1e-6


def test_flat_image_statistics_are_spread_over_height_and_width() -> None:
    normalizer = build_normalizer("MEAN_STD", {"i": {"mean": THREE, "std": THREE}}, "i", (3, 1, 1), 1e-8)
    assert normalizer.statistics["std"].shape == (3, 1, 1)


def test_a_feature_without_statistics_is_not_normalised() -> None:
    assert not build_normalizer("MEAN_STD", {}, "action", (3,), 1e-8).statistics
    assert not build_normalizer("IDENTITY", {"a": {"mean": THREE}}, "a", (3,), 1e-8).statistics


@pytest.mark.parametrize(
    ("mode", "lacking"), [("MEAN_STD", "std"), ("MIN_MAX", "min and max"), ("QUANTILES", "q01"), ("QUANTILE10", "q10")]
)
def test_a_missing_statistic_is_named(mode: Any, lacking: str) -> None:
    with pytest.raises(StatisticsError, match=f"action is normalised by {mode}, but its statistics lack {lacking}"):
        build_normalizer(mode, {"action": {"mean": THREE}}, "action", (3,), 1e-8)


@pytest.mark.parametrize("values", [THREE[:2], THREE[:1], THREE[None], np.float32(1.0)])
def test_statistics_of_the_wrong_length_are_refused(values: Any) -> None:
    with pytest.raises(StatisticsError, match="statistics of another robot or data set"):
        build_normalizer("MEAN_STD", {"a": {"mean": THREE, "std": np.asarray(values)}}, "a", (3,), 1e-8)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_statistics_that_were_never_computed_are_refused(value: float) -> None:
    mean = np.array([1.0, value, 3.0], np.float32)
    with pytest.raises(StatisticsError, match=r"a\.mean is not finite"):
        build_normalizer("MEAN_STD", {"a": {"mean": mean, "std": THREE}}, "a", (3,), 1e-8)


def test_an_unknown_mode_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOptionError, match="action is normalised by 'LOG'; supported are IDENTITY, MEAN_STD"):
        mode_of("LOG", "action")


def test_a_checkpoint_with_statistics_of_another_robot_is_refused(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    edit_tensors(folder / STATE_FILE, lambda t: t.update({"observation.state.mean": np.zeros(7, np.float32)}))
    with pytest.raises(StatisticsError, match=r"observation\.state\.mean has the shape \(7,\).*wants \(6,\)"):
        read_checkpoint(folder)


def test_the_base_model_whose_statistics_are_of_other_robots_normalises_nothing(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    names = ("so100.buffer.action.mean", "so100.buffer.action.std", "so100-red.buffer.action.mean")
    for path in folder.glob("policy_*.safetensors"):
        write_safetensors(path, {name: np.ones(6, np.float32) for name in names})
    checkpoint = read_checkpoint(folder)
    assert (checkpoint.state.mode, dict(checkpoint.state.statistics)) == ("MEAN_STD", {})
    assert dict(checkpoint.action.statistics) == {}


def old_style(folder: Path) -> dict[str, Any]:
    """Turn a checkpoint into one of lerobot before 0.4: statistics as buffers, no processor files."""
    statistics = statistics_of(open_file(next(folder.glob("policy_preprocessor*.safetensors"))))
    buffers: dict[str, Any] = {}
    for feature, kinds in statistics.items():
        part = "unnormalize_outputs" if feature == "action" else "normalize_inputs"
        for kind, values in kinds.items():
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


def test_old_buffers_of_other_robots_are_nobodys(tmp_path: Path) -> None:
    tensors = {"unnormalize_outputs.so100.buffer_action.mean": THREE}
    assert statistics_in_weights(file_of(tmp_path / "f.safetensors", tensors), ("action",)) == {}


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
    images = {f"observation.images.front.{kind}": three for kind in ("mean", "std")}
    edit_tensors(next(folder.glob("policy_pre*.safetensors")), lambda tensors: tensors.update(images))
    with pytest.raises(UnsupportedOptionError, match=r"observation.images.front is normalised by MEAN_STD"):
        read_checkpoint(folder)
