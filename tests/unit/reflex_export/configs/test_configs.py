"""What each family's options are called, were called, and must be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reflex_export.checkpoint import Family
from reflex_export.configs import CONFIG_OF, FamilyConfig, parse_config
from reflex_export.configs.pi import Pi0Config
from reflex_export.configs.training import READ_ELSEWHERE, is_training
from reflex_export.configs.vlm import parse_vlm_config
from reflex_export.errors import CheckpointError, UnsupportedOptionError
from support.checkpoints.golden import golden_folder


def config(family: Family, **changes: Any) -> FamilyConfig:
    written = json.loads((golden_folder(family) / "config.json").read_text())
    return parse_config(family, {key: value for key, value in {**written, **changes}.items() if value != "absent"})


def vlm(**changes: Any) -> Any:
    written = json.loads((golden_folder("smolvla") / "vlm/config.json").read_text())
    return parse_vlm_config({**written, **changes}, "vlm/config.json")


@pytest.mark.parametrize(
    ("family", "steps", "chunk"), [("act", 1, 10), ("diffusion", 20, 15), ("smolvla", 10, 10), ("pi0", 10, 10)]
)
def test_a_config_says_its_steps_and_its_chunk(family: Family, steps: int, chunk: int) -> None:
    assert (config(family).default_steps, config(family).chunk) == (steps, chunk)


def test_a_family_that_does_not_say_its_chunk_cannot_be_made() -> None:
    with pytest.raises(TypeError, match=r"abstract .*chunk"):
        FamilyConfig()  # type: ignore[abstract]


def test_lerobot_0_3_had_other_names_and_laid_the_picture_into_the_corner() -> None:
    old = config("pi0", image_resolution="absent", num_inference_steps="absent", num_steps=7,
                 resize_imgs_with_padding=[56, 42], proj_width=64, attention_implementation="eager")  # fmt: skip
    assert isinstance(old, Pi0Config)
    assert (old.image_size, old.picture_place, old.default_steps) == ((42, 56), "bottom_right", 7)
    new = config("pi0")
    assert isinstance(new, Pi0Config)
    assert (new.image_size, new.picture_place) == ((56, 56), "centred")


@pytest.mark.parametrize(("old", "value"), [("resize_imgs_with_padding", [56, 56]), ("num_steps", 10)])
def test_two_names_for_one_option_are_refused(old: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"{old}, its name in lerobot 0.3"):
        config("pi0", **{old: value})


@pytest.mark.parametrize("family", list(CONFIG_OF))
def test_an_option_that_is_needed_is_named_where_it_is_absent_or_null(family: Family) -> None:
    needed = [name for name, field in CONFIG_OF[family].model_fields.items() if field.is_required()]
    for name in needed:
        with pytest.raises(CheckpointError, match=f"config.json has no {name}, which a {family} policy needs"):
            config(family, **{name: "absent"})
        with pytest.raises(CheckpointError, match=f"config.json has null for {name}"):
            config(family, **{name: None})
    assert needed


@pytest.mark.parametrize("family", list(CONFIG_OF))
def test_an_unknown_key_is_refused_unless_it_is_off(family: Family) -> None:
    nothing: tuple[Any, ...] = (None, False, 0, "", [], {})
    for off in nothing:
        assert config(family, of_tomorrow=off) == config(family)
    for on in (True, 2, 0.5, "x", [0]):
        with pytest.raises(UnsupportedOptionError, match=r"of_tomorrow = .*no option of a"):
            config(family, of_tomorrow=on)


@pytest.mark.parametrize("family", list(CONFIG_OF))
def test_every_key_is_an_option_or_known_to_be_trainings_and_never_both(family: Family) -> None:
    options = set(CONFIG_OF[family].model_fields)
    for key in json.loads((golden_folder(family) / "config.json").read_text()):
        assert (key in options) + is_training(key) + (key in READ_ELSEWHERE) == 1, key
    assert not [key for key in options if is_training(key)]


@pytest.mark.parametrize(
    ("family", "changes", "why"),
    [
        ("act", {"dim_model": 30, "n_heads": 4}, "cannot share"),
        ("act", {"n_action_steps": 11}, "n_action_steps is 11, more than the 10"),
        ("act", {"chunk_size": True}, "chunk_size is True, but must be a valid integer"),
        ("diffusion", {"n_groups": 5}, "n_groups = 5 does not divide"),
        ("diffusion", {"kernel_size": 4}, "must be odd"),
        ("diffusion", {"num_train_timesteps": 1_001, "num_inference_steps": None}, "num_inference_steps must be given"),
        ("diffusion", {"crop_shape": [40]}, "crop_shape is"),
        ("smolvla", {"min_period": 4.0}, "not less than max_period"),
        ("pi05", {"min_period": 5}, "not less than max_period"),
        ("pi05", {"image_resolution": None}, "image_resolution is absent"),
        ("pi0", {"chunk_size": 10**9}, "less than or equal to 2000"),
    ],
)
def test_what_cannot_be_is_refused_by_name(family: Family, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(CheckpointError, match=why):
        config(family, **changes)


def test_the_keys_of_a_vlm_are_checked_and_its_own_are_left_alone() -> None:
    assert vlm(of_the_vlm=3).text.head_width == 16
    biased = {"hidden_size": 64, "num_attention_heads": 4, "mlp_bias": True}
    wrong_ones: tuple[Any, ...] = (None, "x", [], {"hidden_size": 0}, biased)
    for wrong in wrong_ones:
        with pytest.raises(CheckpointError, match=r"of the VLM.*text_config"):
            vlm(text_config=wrong)
    with pytest.raises(CheckpointError, match="scale_factor is 0"):
        vlm(scale_factor=0)
