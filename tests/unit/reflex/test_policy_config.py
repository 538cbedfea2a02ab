"""reflex_config.json: what is taken, and that a file which contradicts itself is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import RepositoryError
from reflex.model_repository import CONFIG_FILE
from reflex.policy_config import SCHEMA_VERSION, PolicyConfig, read_policy_config

TENSORS = ("image.base", "image.wrist", "camera_mask", "state", "tokens", "token_mask", "noise")
GOOD: dict[str, Any] = {
    "schema_version": SCHEMA_VERSION,
    "policy_id": "pick-v2.1",
    "policy_hash": "sha256:" + "0123456789abcdef" * 4,
    "export_id": "export-0001",
    "family": "pi0",
    "trained": True,
    "embodiment": "franka",
    "cameras": [{"name": "base", "required": True}, {"name": "wrist", "required": False}],
    "state_dim": 6,
    "action_dim": 7,
    "noise_dim": 32,
    "horizon": 50,
    "denoising_steps": 10,
    "prompt": {"template": "{instruction}\n", "max_tokens": 48},
    "precision": "fp16",
    "engine": "tensorrt",
    "inference_mode": "decomposed",
    "inputs": [{"name": name, "datatype": "FP32", "shape": [-1]} for name in TENSORS],
    "outputs": [{"name": "actions", "datatype": "FP32", "shape": [50, 7]}],
}


def read(tmp_path: Path, content: object) -> PolicyConfig:
    (tmp_path / CONFIG_FILE).write_text(content if isinstance(content, str) else json.dumps(content))
    return read_policy_config(tmp_path)


def problem(tmp_path: Path, content: object) -> str:
    with pytest.raises(RepositoryError) as caught:
        read(tmp_path, content)
    return str(caught.value)


def test_a_complete_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.model_version == "pick-v2.1@0123456789ab"
    assert [camera.name for camera in config.cameras] == ["base", "wrist"]
    assert config.prompt is not None
    assert (config.prompt.padding_side, config.prompt.pad_id, config.canary) == ("right", 0, None)


def test_no_more_actions_are_executed_than_a_chunk_has(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).n_action_steps is None
    assert read(tmp_path, GOOD | {"n_action_steps": 50}).n_action_steps == 50
    assert "n_action_steps is 51, more than the horizon, 50" in problem(tmp_path, GOOD | {"n_action_steps": 51})
    assert "n_action_steps" in problem(tmp_path, GOOD | {"n_action_steps": 0})


def test_what_was_read_can_be_written_and_read_again(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD | {"canary": {"tolerance": 1e-3}, "parity": {"max": 0.1, "by": "cpu"}})
    assert read(tmp_path, config.model_dump_json()) == config


@pytest.mark.parametrize("field", sorted(GOOD))
def test_every_field_that_has_no_default_must_be_there(tmp_path: Path, field: str) -> None:
    message = problem(tmp_path, {name: value for name, value in GOOD.items() if name != field})
    assert f": {field}: " in message


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"schema_version": "1"}, "schema_version"),
        ({"policy_id": "../escape"}, "policy_id"),
        ({"policy_id": ""}, "policy_id"),
        ({"policy_id": "a\n"}, "policy_id"),
        ({"policy_hash": "sha256:abc"}, "policy_hash"),
        ({"policy_hash": "md5:" + "0" * 64}, "policy_hash"),
        ({"export_id": "short"}, "export_id"),
        ({"trained": "yes"}, "trained"),
        ({"cameras": []}, "cameras"),
        ({"cameras": [{"name": "", "required": True}]}, "cameras.0.name"),
        ({"state_dim": 0}, "state_dim"),
        ({"horizon": 50.0}, "horizon"),
        ({"action_dim": True}, "action_dim"),
        ({"precision": "int3"}, "precision"),
        ({"engine": "torch"}, "engine"),
        ({"inference_mode": "magic"}, "inference_mode"),
        ({"prompt": {"template": "{instruction}", "max_tokens": 0}}, "prompt.max_tokens"),
        ({"prompt": {"template": "x", "max_tokens": 4, "padding_side": "both"}}, "prompt.padding_side"),
        ({"canary": {"tolerance": 0}}, "canary.tolerance"),
        ({"canary": {"tolerance": -1}}, "canary.tolerance"),
        ({"surprise": 1}, "surprise"),
        ({"cameras": [{"name": "base", "required": True}] * 2}, "the file"),
        ({"inputs": GOOD["inputs"][1:]}, "the file"),
        ({"inputs": [*GOOD["inputs"], {"name": "extra", "datatype": "FP32", "shape": [1]}]}, "the file"),
        ({"outputs": []}, "the file"),
    ],
)
def test_a_wrong_field_is_named_and_the_way_out_told(tmp_path: Path, changes: dict[str, Any], where: str) -> None:
    message = problem(tmp_path, GOOD | changes)
    assert f"{CONFIG_FILE}: {where}: " in message
    assert "export the policy again" in message


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "\x00"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    assert "export the policy again" in problem(tmp_path, text)


def test_a_missing_file_says_how_a_policy_is_made(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="reflex export"):
        read_policy_config(tmp_path)


def test_a_policy_that_is_not_there_is_told_from_those_that_are(tmp_path: Path) -> None:
    for name in ("place", "grasp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / CONFIG_FILE).touch()

    with pytest.raises(RepositoryError, match=r"has no policy nosuch: it has grasp, place; choose one of them"):
        read_policy_config(tmp_path / "nosuch")


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        read(tmp_path, GOOD).horizon = 1


SPACE: dict[str, Any] = {"scale": [1.0] * 7, "offset": [0.0] * 7, "still": [0.0] * 7, "relative": [False] * 7}


def test_how_actions_are_normalised_is_read_and_may_be_absent(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD | {"action_space": SPACE, "rtc_training_max_delay": 4})
    assert found.action_space is not None
    assert (found.action_space.scale, found.rtc_training_max_delay) == ((1.0,) * 7, 4)
    old = read(tmp_path, GOOD)
    assert (old.action_space, old.rtc_training_max_delay) == (None, 0)


@pytest.mark.parametrize("name", SPACE)
def test_how_actions_are_normalised_is_said_of_each_axis(tmp_path: Path, name: str) -> None:
    short = SPACE | {name: SPACE[name][:6]}
    assert "action_space must say of each of the 7 axes" in problem(tmp_path, GOOD | {"action_space": short})


@pytest.mark.parametrize("value", ["1e999", "NaN", "-Infinity"])
def test_no_axis_is_scaled_by_what_is_no_number(tmp_path: Path, value: str) -> None:
    text = json.dumps(GOOD | {"action_space": SPACE}).replace('"scale": [1.0', f'"scale": [{value}')
    assert "action_space.scale.0" in problem(tmp_path, text)
