from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reflex_export.errors import CheckpointError, SourceError, StatisticsError, UnsupportedOptionError
from reflex_export.reading import read_checkpoint
from support.checkpoints.random_checkpoint import write_checkpoint
from support.checkpoints.sizes import PiSizes, SmolVlaSizes
from unit.reflex_export.reading.damage import CopyCheckpoint, edit_json, edit_step, step_of

PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"


def test_the_rename_map_gives_cameras_their_clients_names(tmp_path: Path) -> None:
    sizes = SmolVlaSizes(rename_map={"observation.images.cam_high": "observation.images.front"})
    checkpoint = read_checkpoint(write_checkpoint(tmp_path / "checkpoint", sizes))
    assert [camera.name for camera in checkpoint.cameras] == ["cam_high", "wrist"]


@pytest.mark.parametrize(
    ("excluded", "names", "mask"),
    [
        (("gripper",), ("shoulder.pos", "Left_Gripper.pos", "elbow.pos", "gripper"), (True, False, True, False)),
        (("gripper",), None, (True, True, True, True)),
        ((), ("a", "b", "c", "gripper"), (True, True, True, True)),
        (("", "elbow"), ("elbow", "b"), (False, True, True, True)),
        (("gripper",), ("a", "b", "c", "d", "gripper"), (True, True, True, True)),
    ],
)
def test_relative_actions_leave_excluded_joints_absolute(
    tmp_path: Path, excluded: tuple[str, ...], names: tuple[str, ...] | None, mask: tuple[bool, ...]
) -> None:
    sizes = PiSizes(relative=True, excluded_joints=excluded, action_names=names)
    checkpoint = read_checkpoint(write_checkpoint(tmp_path / "checkpoint", sizes))
    assert checkpoint.relative_actions is not None
    assert checkpoint.relative_actions.mask == mask


def test_relative_actions_without_a_state_for_each_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", PiSizes(relative=True, state_dim=3, action_dim=4))
    with pytest.raises(UnsupportedOptionError, match="a state entry per action, but there are 3 for 4"):
        read_checkpoint(folder)


def test_relative_actions_that_are_never_made_absolute_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", PiSizes(relative=True))
    edit_step(folder / POST, "absolute_actions_processor", enabled=False)
    with pytest.raises(UnsupportedOptionError, match=r"relative_actions_processor is on but .* is off"):
        read_checkpoint(folder)


@pytest.mark.parametrize(("file", "where"), [(PRE, 3), (POST, 0)])
def test_an_unknown_step_is_refused_by_name(copy: CopyCheckpoint, file: str, where: int) -> None:
    folder = copy("smolvla")
    unknown = {"registry_name": "gripper_squash_processor", "config": {}}
    edit_json(folder / file, lambda pipeline: pipeline["steps"].insert(where, unknown))
    with pytest.raises(UnsupportedOptionError, match="the step 'gripper_squash_processor' is not supported here"):
        read_checkpoint(folder)


def test_a_step_of_ones_own_class_is_refused_by_name(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")
    edit_json(folder / PRE, lambda pipeline: pipeline["steps"].append({"class": "my.module.Step"}))
    with pytest.raises(UnsupportedOptionError, match=r"'my[.]module.Step' is not supported"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "file", "step"),
    [
        ("smolvla", PRE, "smolvla_new_line_processor"),
        ("smolvla", PRE, "normalizer_processor"),
        ("pi0", PRE, "tokenizer_processor"),
        ("pi05", PRE, "pi05_prepare_state_tokenizer_processor_step"),
        ("act", POST, "unnormalizer_processor"),
    ],
)
def test_a_missing_step_is_named(copy: CopyCheckpoint, name: str, file: str, step: str) -> None:
    folder = copy(name)
    edit_json(folder / file, lambda pipeline: pipeline["steps"].remove(step_of(pipeline, step)))
    with pytest.raises(UnsupportedOptionError, match=f"{file} lacks the step {step}"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("smolvla", "tokenizer_processor", "smolvla_new_line_processor"),
        ("pi05", "pi05_prepare_state_tokenizer_processor_step", "normalizer_processor"),
        ("pi0", "normalizer_processor", "relative_actions_processor"),
        ("pi0", "normalizer_processor", "rename_observations_processor"),
    ],
)
def test_steps_out_of_order_are_refused(copy: CopyCheckpoint, name: str, first: str, second: str) -> None:
    folder = copy(name)

    def swap(pipeline: Any) -> None:
        pipeline["steps"].remove(moved := step_of(pipeline, first))
        pipeline["steps"].insert(pipeline["steps"].index(step_of(pipeline, second)), moved)

    edit_json(folder / PRE, swap)
    with pytest.raises(UnsupportedOptionError, match="in this order"):
        read_checkpoint(folder)


def test_steps_without_effect_may_lie_anywhere(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")
    edit_json(folder / PRE, lambda p: p["steps"].insert(0, p["steps"].pop(4)))
    assert read_checkpoint(folder).family == "pi0"


@pytest.mark.parametrize(
    ("step", "settings", "why"),
    [
        ("tokenizer_processor", {"truncation": False}, "truncation=false"),
        ("tokenizer_processor", {"task_key": "subtask"}, "task_key='subtask'"),
        ("device_processor", {"float_dtype": "bfloat16"}, "float_dtype='bfloat16'"),
        ("normalizer_processor", {"norm_map": {"STATE": "LOG"}}, "normalised by 'LOG'"),
    ],
)
def test_a_setting_that_changes_the_numbers_is_refused(
    copy: CopyCheckpoint, step: str, settings: dict[str, Any], why: str
) -> None:
    folder = copy("smolvla")
    edit_step(folder / PRE, step, **settings)
    with pytest.raises(UnsupportedOptionError, match=why):
        read_checkpoint(folder)


def test_a_state_outside_the_normalised_observations_is_left_alone(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    edit_step(folder / PRE, "normalizer_processor", normalize_observation_keys=[])
    checkpoint = read_checkpoint(folder)
    assert checkpoint.state.mode == "IDENTITY"
    assert checkpoint.action.mode == "MEAN_STD"


def test_a_state_that_the_normalizer_does_not_know_is_refused(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    edit_step(folder / PRE, "normalizer_processor", features={})
    with pytest.raises(StatisticsError, match=r"observation\.state is normalised by MEAN_STD, but the normalizer step"):
        read_checkpoint(folder)


def test_the_actions_statistics_are_the_postprocessors(copy: CopyCheckpoint) -> None:
    folder = copy("pi0")
    edit_step(folder / POST, "unnormalizer_processor", norm_map={"ACTION": "MIN_MAX"}, eps=1e-6)
    checkpoint = read_checkpoint(folder)
    assert (checkpoint.action.mode, checkpoint.action.eps) == ("MIN_MAX", 1e-6)
    assert (checkpoint.state.mode, checkpoint.state.eps) == ("MEAN_STD", 1e-8)


@pytest.mark.parametrize("name", ["../statistics.safetensors", "/tmp/statistics.safetensors", "statistics.pkl"])
def test_a_state_file_outside_the_folder_is_refused(copy: CopyCheckpoint, name: str) -> None:
    folder = copy("smolvla")
    edit_json(folder / PRE, lambda pipeline: step_of(pipeline, "normalizer_processor").update(state_file=name))
    with pytest.raises(CheckpointError, match="nothing outside that folder is read"):
        read_checkpoint(folder)


def test_a_state_file_that_is_not_there_is_named(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    (folder / "policy_preprocessor_step_5_normalizer_processor.safetensors").unlink()
    with pytest.raises(SourceError, match=r"step_5_normalizer_processor\.safetensors cannot be read \(No such file"):
        read_checkpoint(folder)


def test_a_missing_postprocessor_is_named(copy: CopyCheckpoint) -> None:
    folder = copy("smolvla")
    (folder / POST).unlink()
    with pytest.raises(SourceError, match=r"policy_postprocessor\.json cannot be read"):
        read_checkpoint(folder)


def double(steps: list[Any]) -> None:
    steps.append(steps[0])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: p.update(steps=None), "steps must be of type list"),
        (lambda p: p["steps"].append(3), "a step must be an object"),
        (lambda p: p["steps"].append({}), "has no registry_name"),
        (lambda p: p["steps"][0].update(config=[]), "config must be of type dict"),
        (lambda p: p["steps"][0]["config"].update(rename_map={"a": 1}), "must map names to names"),
        (lambda p: step_of(p, "tokenizer_processor")["config"].update(max_length="48"), "max_length must be of type"),
        (lambda p: double(p["steps"]), "occurs twice"),
    ],
)
def test_a_damaged_pipeline_is_refused(copy: CopyCheckpoint, change: Callable[[Any], Any], why: str) -> None:
    folder = copy("smolvla")
    edit_json(folder / PRE, change)
    with pytest.raises(CheckpointError, match=why):
        read_checkpoint(folder)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, "nul"])
def test_a_file_that_is_no_json_object_is_refused(copy: CopyCheckpoint, text: str) -> None:
    folder = copy("smolvla")
    (folder / PRE).write_text(text)
    with pytest.raises(CheckpointError, match=r"policy_preprocessor.json"):
        read_checkpoint(folder)


@pytest.mark.parametrize(("file", "step"), [(PRE, "normalizer_processor"), (POST, "unnormalizer_processor")])
@pytest.mark.parametrize("eps", [-1, -1e-8, -1e6])
def test_an_eps_below_zero_is_refused(copy: CopyCheckpoint, file: str, step: str, eps: float) -> None:
    folder = copy("act")
    edit_step(folder / file, step, eps=eps)
    with pytest.raises(CheckpointError, match=rf"{file}.*: eps is -1.*, which would turn values over"):
        read_checkpoint(folder)


def test_an_eps_of_zero_is_no_fault(copy: CopyCheckpoint) -> None:
    folder = copy("act")
    edit_step(folder / PRE, "normalizer_processor", eps=0)
    assert read_checkpoint(folder).state.eps == 0
