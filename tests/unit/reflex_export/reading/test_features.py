from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reflex_export.checkpoint import Family
from reflex_export.configs import parse_config
from reflex_export.errors import CheckpointError, UnknownFamilyError, UnsupportedOptionError
from reflex_export.reading.features import Features, family_of, read_features
from support.checkpoints.golden import golden_folder


def features_of(family: Family, written: dict[str, Any], renames: dict[str, str] | None = None) -> Features:
    recorded = json.loads((golden_folder(family) / "config.json").read_text())
    options = {key: value for key, value in {**recorded, **written}.items() if key in recorded}
    return read_features(family, parse_config(family, options), written, renames or {})


def config(**changes: Any) -> dict[str, Any]:
    return {
        "type": "smolvla",
        "n_obs_steps": 1,
        "max_state_dim": 32,
        "max_action_dim": 32,
        "image_resolution": [224, 224],
        "input_features": {
            "observation.images.top": {"type": "VISUAL", "shape": [3, 48, 64]},
            "observation.state": {"type": "STATE", "shape": [6]},
            "observation.images.wrist": {"type": "VISUAL", "shape": [3, 32, 32]},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [7]}},
        **changes,
    }


def with_input(name: str, kind: str, shape: Any) -> dict[str, Any]:
    base = config()
    base["input_features"][name] = {"type": kind, "shape": shape}
    return base


def test_cameras_keep_the_order_of_the_config() -> None:
    features = features_of("smolvla", config())
    assert [camera.name for camera in features.cameras] == ["top", "wrist"]
    assert (features.state_dim, features.action_dim) == (6, 7)


def test_a_camera_has_the_name_that_the_client_sends_before_renaming() -> None:
    features = features_of("smolvla", config(), {"observation.images.front": "observation.images.top"})
    assert [(camera.key, camera.name) for camera in features.cameras] == [
        ("observation.images.top", "front"),
        ("observation.images.wrist", "wrist"),
    ]


def test_a_single_image_without_a_camera_name_is_called_image() -> None:
    single = config()
    single["input_features"] = {
        "observation.image": {"type": "VISUAL", "shape": [3, 96, 96]},
        "observation.state": {"type": "STATE", "shape": [2]},
    }
    assert [camera.name for camera in features_of("diffusion", single).cameras] == ["image"]


@pytest.mark.parametrize(("family", "shape"), [("smolvla", (3, 480, 640)), ("pi0", (3, 224, 224))])
def test_empty_cameras_are_appended_when_the_config_only_counts_them(family: Any, shape: tuple[int, ...]) -> None:
    cameras = features_of(family, config(empty_cameras=2)).cameras
    assert [camera.is_empty for camera in cameras] == [False, False, True, True]
    assert cameras[2].key == "observation.images.empty_camera_0"
    assert cameras[3].shape == shape


def test_an_empty_camera_in_the_config_keeps_its_place_and_size() -> None:
    base = config(empty_cameras=1)
    base["input_features"] = {
        "observation.images.empty_camera_0": {"type": "VISUAL", "shape": [3, 8, 8]},
        **base["input_features"],
    }
    cameras = features_of("pi05", base).cameras
    assert (cameras[0].is_empty, cameras[0].shape) == (True, (3, 8, 8))
    assert len(cameras) == 3


def test_a_camera_that_is_only_called_empty_is_a_camera() -> None:
    base = with_input("observation.images.empty_camera_0", "VISUAL", [3, 8, 8])
    assert not any(camera.is_empty for camera in features_of("smolvla", base).cameras)


def test_a_pi_base_model_without_state_and_action_takes_the_widest() -> None:
    base = config(output_features=None)
    del base["input_features"]["observation.state"]
    features = features_of("pi0", base)
    assert (features.state_dim, features.action_dim) == (32, 32)


def test_an_observation_history_is_for_diffusion_only() -> None:
    assert features_of("diffusion", config(n_obs_steps=2)).state_dim == 6
    with pytest.raises(UnsupportedOptionError, match="n_obs_steps is 2, which cannot"):
        features_of("act", config(n_obs_steps=2))


@pytest.mark.parametrize("kind", ["groot", "pi0_fast", None, 3, ["pi0"]])
def test_an_unknown_family_is_refused_by_name(kind: object) -> None:
    with pytest.raises(UnknownFamilyError, match="what can be exported is smolvla, pi0, pi05, act, diffusion"):
        family_of({"type": kind})


def test_a_config_of_something_else_is_refused() -> None:
    with pytest.raises(UnknownFamilyError, match="without a policy type"):
        family_of({"model_type": "llama"})


def test_a_config_of_another_layout_is_recognised() -> None:
    with pytest.raises(CheckpointError, match="layout of 2024"):
        family_of({"input_shapes": {}, "output_shapes": {}, "n_obs_steps": 1})
    with pytest.raises(UnknownFamilyError, match="openpi's"):
        family_of({"action_dim": 32, "action_horizon": 10, "paligemma_variant": "gemma_2b"})


def no_state(base: dict[str, Any]) -> None:
    del base["input_features"]["observation.state"]


def no_camera(base: dict[str, Any]) -> None:
    base["input_features"] = {"observation.state": {"type": "STATE", "shape": [6]}}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (no_state, "names no observation.state"),
        (no_camera, "no camera that a client could send"),
        (lambda base: base.update(input_features=[]), "must be of type dict"),
        (lambda base: base.update(empty_cameras="2"), "empty_cameras is '2', but must be a valid integer"),
        (lambda base: base.update(max_state_dim=5), "more than max_state_dim=5"),
        (lambda base: base["output_features"].clear(), "names no action"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(change: Callable[[dict[str, Any]], None], why: str) -> None:
    base = config()
    change(base)
    with pytest.raises(CheckpointError, match=why):
        features_of("smolvla", base)


@pytest.mark.parametrize(
    ("base", "why"),
    [
        (with_input("observation.environment_state", "ENV", [4]), "observation.environment_state of type 'ENV'"),
        (with_input("observation.velocity", "STATE", [4]), "observation.velocity of type 'STATE'"),
        (with_input("observation.images.depth", "VISUAL", [1, 48, 64]), "3 x height x width"),
        (with_input("observation.state", "STATE", [2, 6]), "only vectors"),
        (config(use_delta_joint_actions_aloha=True), "use_delta_joint_actions_aloha is True"),
    ],
)
def test_an_unsupported_option_is_refused_by_name(base: dict[str, Any], why: str) -> None:
    with pytest.raises(UnsupportedOptionError, match=why):
        features_of("smolvla", base)


@pytest.mark.parametrize("shape", [None, [], [0], [3, -1, 4], [True], "6", [6.0]])
def test_an_impossible_shape_is_refused(shape: object) -> None:
    with pytest.raises(CheckpointError, match="must list sizes over 0"):
        features_of("smolvla", with_input("observation.state", "STATE", shape))


def test_two_sources_for_one_camera_are_refused() -> None:
    renames = {f"observation.images.{name}": "observation.images.top" for name in ("a", "b")}
    with pytest.raises(CheckpointError, match=r"rename_map gives observation.images.top from"):
        features_of("smolvla", config(), renames)


def test_two_cameras_of_one_name_are_refused() -> None:
    with pytest.raises(CheckpointError, match="two cameras have the same name for clients: wrist, wrist"):
        features_of("smolvla", config(), {"observation.images.wrist": "observation.images.top"})


def test_a_camera_name_that_no_tensor_can_have_is_refused() -> None:
    with pytest.raises(CheckpointError, match="is not made of letters"):
        features_of("smolvla", with_input("observation.images.left/eye", "VISUAL", [3, 8, 8]))
