from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reflex_export.errors import CheckpointError, UnsupportedOptionError
from reflex_export.reading.adapters.adapter_config import AdapterConfig, read_adapter_config


def read(folder: Path, **changes: Any) -> AdapterConfig:
    values = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], **changes}
    (folder / "adapter_config.json").write_text(json.dumps(values))
    return read_adapter_config(folder)


def test_the_scaling_is_alpha_by_rank_or_by_its_root(tmp_path: Path) -> None:
    assert read(tmp_path).scaling("q_proj", 4) == 2.0
    assert read(tmp_path, use_rslora=True).scaling("q_proj", 4) == 4.0


def test_a_pattern_is_the_end_of_a_name_and_the_first_that_matches_counts(tmp_path: Path) -> None:
    config = read(tmp_path, rank_pattern={"q_proj": 2, r"layers\.1\.q_proj": 3}, alpha_pattern={"^head": 1})

    assert config.scaling("layers.1.q_proj", 2) == 4.0
    assert config.scaling("layers.1.my_q_proj", 4) == 2.0
    assert config.scaling("head", 4) == 0.25
    assert config.scaling("layers.head", 4) == 2.0


def test_tensors_of_another_rank_are_of_another_adapter(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"rank 4, but its tensors have 8"):
        read(tmp_path).scaling("q_proj", 8)


@pytest.mark.parametrize(
    ("targets", "inside", "outside"),
    [
        (["q_proj"], "layers.0.q_proj", "layers.0.my_q_proj"),
        (["layers.0.q_proj"], "layers.0.q_proj", "layers.1.q_proj"),
        (r"layers\.\d+\.(q|v)_proj", "layers.7.v_proj", "vision.layers.7.v_proj"),
    ],
)
def test_a_module_that_the_config_does_not_name_is_of_another_adapter(
    targets: Any, inside: str, outside: str, tmp_path: Path
) -> None:
    config = read(tmp_path, target_modules=targets)

    config.require_targets([inside])
    with pytest.raises(CheckpointError, match=outside):
        config.require_targets([inside, outside])


def test_all_linear_names_everything(tmp_path: Path) -> None:
    read(tmp_path, target_modules="all-linear").require_targets(["anything.at.all"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
        ({"peft_type": None}, "peft_type is None"),
        ({"peft_type": ["LORA"]}, "peft_type is"),
        ({"layer_replication": [[0, 2]]}, "layer_replication is set"),
        ({"target_parameters": ["w"]}, "target_parameters is set"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices is set"),
        ({"an_option_of_tomorrow": True}, "an_option_of_tomorrow is set"),
        ({"init_lora_weights": "pissa_niter_4"}, "path_initial_model_for_weight_conversion"),
        ({"init_lora_weights": {}}, "init_lora_weights"),
    ],
)
def test_what_is_not_merged_right_is_refused_by_name(changes: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOptionError, match=reason):
        read(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"r": "4"}, "r must be of type int"),
        ({"r": 0}, "ranks must be at least 1"),
        ({"rank_pattern": {"q": -1}}, "ranks must be at least 1"),
        ({"lora_alpha": 10**308}, "alphas within ±1e\\+06"),
        ({"alpha_pattern": {"q": -1e39}}, "alphas within ±1e\\+06"),
        ({"lora_alpha": float("nan")}, "NaN is no finite number"),
        ({"target_modules": "("}, "no regular expression"),
        ({"target_modules": [1]}, "target_modules must be names"),
        ({"target_modules": None}, "target_modules must be names"),
        ({"rank_pattern": {"(": 1}}, "no regular expression"),
        ({"alpha_pattern": []}, "alpha_pattern must be of type dict"),
        ({"use_dora": "yes"}, "use_dora must be of type bool"),
        ({"base_model_name_or_path": 3}, "base_model_name_or_path must be of type str"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(changes: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=reason):
        read(tmp_path, **changes)
