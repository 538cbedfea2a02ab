"""What two places of a checkpoint say differently is refused or named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reflex_export.errors import CheckpointError
from reflex_export.reading import read_checkpoint
from unit.reflex_export.reading.damage import CopyCheckpoint, edit_json, edit_step

BEFORE, AFTER = "policy_preprocessor.json", "policy_postprocessor.json"


def warnings_of(folder: Path) -> str:
    return " | ".join(read_checkpoint(folder).warnings)


def relative(folder: Path, **settings: Any) -> None:
    edit_step(folder / BEFORE, "relative_actions_processor", enabled=True, **settings)
    edit_step(folder / AFTER, "absolute_actions_processor", enabled=True)


@pytest.mark.parametrize("name", ["pi0", "pi05"])
def test_offsets_in_one_file_and_absolute_targets_in_another_are_refused(copy: CopyCheckpoint, name: str) -> None:
    folder = copy(name)
    edit_json(folder / "config.json", lambda config: config.update(use_relative_actions=True))
    with pytest.raises(CheckpointError, match=f"use_relative_actions = true, but {BEFORE} .* off"):
        read_checkpoint(folder)
    relative(folder, exclude_joints=["gripper"])
    assert read_checkpoint(folder).relative_actions is not None
    edit_json(folder / "config.json", lambda config: config.update(use_relative_actions=False))
    with pytest.raises(CheckpointError, match=f"use_relative_actions = false, but {BEFORE} .* on"):
        read_checkpoint(folder)
    edit_json(folder / "config.json", lambda config: config.pop("use_relative_actions"))
    assert read_checkpoint(folder).relative_actions is not None


def test_other_joints_that_stay_absolute_are_refused(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")
    edit_json(folder / "config.json", lambda config: config.update(use_relative_actions=True))
    relative(folder, exclude_joints=["elbow"])
    with pytest.raises(CheckpointError, match=r"relative_exclude_joints = \['gripper'\].*exclude_joints = \['elbow'\]"):
        read_checkpoint(folder)


def test_a_camera_that_is_renamed_to_no_input_is_named(copy: CopyCheckpoint) -> None:
    folder = copy("pi05")
    assert warnings_of(folder) == "golden_meta.json lies in the checkpoint's folder and is not read"
    renames = {
        "observation.images.left": "observation.images.hand_0",
        "observation.images.top": "observation.images.base",
    }
    edit_step(folder / BEFORE, "rename_observations_processor", rename_map=renames)
    told = warnings_of(folder)
    assert "maps observation.images.left to observation.images.hand_0, which is no input of this policy" in told
    assert "observation.images.top" not in told


@pytest.mark.parametrize("key", ["chunk_size", "use_relative_actions", "normalization_mapping", "empty_cameras"])
def test_every_option_that_makes_another_policy_is_compared_with_trainings(copy: CopyCheckpoint, key: str) -> None:
    folder = copy("pi0")
    said = json.loads((folder / "config.json").read_text())
    (folder / "train_config.json").write_text(json.dumps({"policy": {**said, key: [1]}}))
    assert f"config.json has {key} = {said[key]!r:.80}, train_config.json has [1]; the former counts" in warnings_of(
        folder
    )


def test_a_mode_that_changes_nothing_need_not_stand_in_both_files(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")
    for file, step in ((BEFORE, "normalizer_processor"), (AFTER, "unnormalizer_processor")):
        edit_step(folder / file, step, norm_map={"STATE": "MEAN_STD", "ACTION": "MEAN_STD"})
    assert "normalises" not in warnings_of(folder)


def test_lengths_modes_and_what_training_said_are_compared(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")
    said = json.loads((folder / "config.json").read_text())
    (folder / "train_config.json").write_text(json.dumps({"policy": said, "rename_map": {}}))
    assert "train_config" not in warnings_of(folder)
    policy = {**said, "chunk_size": 12, "n_action_steps": 3}
    (folder / "train_config.json").write_text(json.dumps({"policy": policy, "rename_map": {"a": "b"}}))
    edit_json(folder / "config.json", lambda config: config.update(tokenizer_max_length=30))
    edit_json(folder / "config.json", lambda config: config["normalization_mapping"].update(STATE="MIN_MAX"))
    told = warnings_of(folder)
    assert "config.json has chunk_size = 10, train_config.json has 12; the former counts" in told
    assert "tokenizer_max_length = 30, policy_preprocessor.json has max_length = 24; the latter counts" in told
    assert "normalises STATE by 'MIN_MAX', the processor files by 'MEAN_STD'; the latter count" in told
    assert "another rename_map" in told
    assert "n_action_steps" not in told
