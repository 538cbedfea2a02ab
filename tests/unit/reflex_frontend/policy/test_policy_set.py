"""Which policies may stand in for each other, and what a start that is refused says."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex.model_repository import CONFIG_FILE
from reflex_frontend.policy.policy import find_repository
from reflex_frontend.policy.policy_set import check_interchangeable, load_policy_set
from reflex_frontend.settings import Settings
from support.fakes import policy_config, served_policy


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The demo policy three times, under the names demo, other and few; `few` has fewer steps and demo's encoder."""
    for folder in find_repository(None).glob("demo*"):
        shutil.copytree(folder, tmp_path / folder.name)
    components = {role: f"demo_{role}" for role in ("preprocess", "encoder", "denoise")}
    for name, changes in {"other": {"components": components}, "few": {"components": components}}.items():
        shutil.copytree(tmp_path / "demo", tmp_path / name)
        path = tmp_path / name / CONFIG_FILE
        config: dict[str, Any] = json.loads(path.read_text()) | {"policy_id": name} | changes
        if name == "few":
            config["denoising_steps"] = 4
        path.write_text(json.dumps(config))
    return tmp_path


def change(repository: Path, policy: str, **fields: object) -> None:
    path = repository / policy / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_two_policies_fill_two_slots(repository: Path) -> None:
    policy_set = load_policy_set(repository, Settings.load({"policy_a": "demo", "policy_b": "other"}))
    assert {slot: policy.config.policy_id for slot, policy in policy_set.slots.items()} == {"a": "demo", "b": "other"}
    assert [config.policy_id for config in policy_set.configs] == ["demo", "other"]


def test_a_shadow_is_loaded_beside_them(repository: Path) -> None:
    policy_set = load_policy_set(repository, Settings.load({"policy": "demo", "shadow": "other"}))
    assert policy_set.shadow is not None
    assert [config.policy_id for config in policy_set.configs] == ["demo", "other"]


def test_one_policy_twice_is_refused(repository: Path) -> None:
    with pytest.raises(SetupError, match="demo is named twice"):
        load_policy_set(repository, Settings.load({"policy_a": "demo", "policy_b": "demo"}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cameras": ({"name": "wrist", "required": True},)}, "cameras is base in one and wrist in the other"),
        ({"cameras": ({"name": "base", "required": False},)}, r"cameras is base in one and base \(optional\)"),
        ({"embodiment": "ur5"}, "embodiment is franka in one and ur5 in the other"),
        ({"state_dim": 8}, "state_dim is 6 in one and 8 in the other"),
        ({"action_dim": 3}, "action_dim is 7 in one and 3 in the other"),
    ],
)
def test_policies_for_different_robots_are_refused_with_the_difference(changes: dict[str, Any], told: str) -> None:
    other = policy_config(policy_id="other")
    changed = dataclasses.replace(
        served_policy(other), config=type(other).model_construct(**{**dict(other), **_parsed(other, changes)})
    )
    with pytest.raises(SetupError, match=told):
        check_interchangeable(served_policy(), changed)


def _parsed(config: Any, changes: dict[str, Any]) -> dict[str, Any]:
    camera = type(config.cameras[0])
    return {
        name: tuple(camera(**entry) for entry in value) if name == "cameras" else value
        for name, value in changes.items()
    }


def test_embodiments_of_one_name_with_other_limits_are_refused() -> None:
    one, other = served_policy(), served_policy(policy_config(policy_id="other"))
    tighter = dataclasses.replace(other.embodiment, control_hz=other.embodiment.control_hz / 2)
    with pytest.raises(SetupError, match="differ in control_hz"):
        check_interchangeable(one, dataclasses.replace(other, embodiment=tighter))


@pytest.mark.parametrize(
    "settings",
    [
        {"policy_a": "demo", "policy_b": "other", "shadow": "other"},
        {"policy_a": "demo", "policy_b": "few", "slo": "p99=150ms", "slo_mode": "degrade"},
        {"policy": "demo", "shadow": "few", "slo": "p99=150ms", "slo_mode": "degrade"},
    ],
    ids=["shadow is b", "b is a's variant", "shadow is a's variant"],
)
def test_one_policy_in_two_roles_is_refused(repository: Path, settings: dict[str, Any]) -> None:
    change(repository, "few", denoising_steps=4)
    with pytest.raises(SetupError, match=r"would be served twice|needs few with fewer"):
        load_policy_set(repository, Settings.load(settings))


def test_pictures_of_one_size_only_must_be_of_the_same_size() -> None:
    other = policy_config(policy_id="other")
    fixed = [
        tensor.model_copy(update={"shape": (224, 224, 3)}) if tensor.name.startswith("image.") else tensor
        for tensor in other.inputs
    ]
    with pytest.raises(SetupError, match="pictures of different sizes"):
        check_interchangeable(served_policy(), served_policy(other.model_copy(update={"inputs": tuple(fixed)})))


def test_degrading_takes_the_variant_with_the_next_lower_number_of_steps(repository: Path) -> None:
    policy_set = load_policy_set(
        repository, Settings.load({"policy": "demo", "slo": "p99=150ms", "slo_mode": "degrade"})
    )
    assert [variant.config.policy_id for variant in policy_set.variants["a"]] == ["few"]


def test_degrading_without_a_variant_says_how_to_export_one(repository: Path) -> None:
    change(repository, "few", denoising_steps=10)
    with pytest.raises(SetupError, match="--steps 10 --steps 5"):
        load_policy_set(repository, Settings.load({"policy": "demo", "slo": "p99=150ms", "slo_mode": "degrade"}))
