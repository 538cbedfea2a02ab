"""One thing at a time that an export could overlook: each is named, in the refusal or in a warning.

What is left out without a word moves a robot wrongly, and nobody is told why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from reflex_export.errors import CheckpointError
from reflex_export.families.family_graphs import build_graphs
from reflex_export.reading import read_checkpoint
from unit.reflex_export.reading.damage import Array, CopyCheckpoint, edit_json, edit_step, edit_tensors, step_of

Change = Callable[[Path], object]
Case = tuple[str, Change, str]
"""The recorded checkpoint, what is done to it, and what is named."""

PRE, POST, WEIGHTS = "policy_preprocessor.json", "policy_postprocessor.json", "model.safetensors"
STATE, TOP, BASE = "observation.state", "observation.images.top", "observation.images.base"
EMPTY: Final = "observation.images.empty_camera_0"
STATISTICS: Final = "policy_preprocessor_step_3_normalizer_processor.safetensors"
LAYER: Final = "model.paligemma_with_expert.paligemma.model.language_model.layers"


def options(**changes: Any) -> Change:
    return lambda folder: edit_json(folder / "config.json", lambda config: config.update(changes))


def option(key: str, *path: str, value: Any) -> Change:
    def change(config: dict[str, Any]) -> None:
        inner = config[key]
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value

    return lambda folder: edit_json(folder / "config.json", change)


def camera_renamed(config: dict[str, Any]) -> None:
    features = config["input_features"]
    config["input_features"] = {name.replace(".top", ".front"): feature for name, feature in features.items()}


def inputs_turned_over(config: dict[str, Any]) -> None:
    config["input_features"] = dict(reversed(config["input_features"].items()))


def listed(name: str, **feature: Any) -> Change:
    """As a feature of the normalizer step."""

    def change(pipeline: dict[str, Any]) -> None:
        step_of(pipeline, "normalizer_processor")["config"]["features"][name] = feature

    return lambda folder: edit_json(folder / PRE, change)


def settings(file: str, step: str, **changes: Any) -> Change:
    return lambda folder: edit_step(folder / file, step, **changes)


def step(file: str, name: str, **changes: Any) -> Change:
    """Beside its settings."""
    return lambda folder: edit_json(folder / file, lambda pipeline: step_of(pipeline, name).update(changes))


def steps(file: str, change: Callable[[list[Any]], object]) -> Change:
    return lambda folder: edit_json(folder / file, lambda pipeline: change(pipeline["steps"]))


def numbers(file: str, **changes: Any) -> Change:
    """Statistics or weights."""

    def change(tensors: dict[str, Array]) -> None:
        for name, value in changes.items():
            tensors[name] = np.array(value, np.float32)

    return lambda folder: edit_tensors(folder / file, change)


def wide(file: str, name: str, value: float) -> Change:
    """In float64."""
    return lambda folder: edit_tensors(folder / file, lambda tensors: tensors.update({name: np.full(6, value)}))


def moved(file: str, old: str, new: str) -> Change:
    def change(tensors: dict[str, Array]) -> None:
        for name in [name for name in tensors if name.startswith(old)]:
            tensors[name.replace(old, new, 1)] = tensors.pop(name)

    return lambda folder: edit_tensors(folder / file, change)


def stray(name: str, content: str = "{}") -> Change:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)

    return write


def gone(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def stray_numbers(name: str, tensor: str) -> Change:
    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((folder / STATISTICS).read_bytes())
        moved(name, STATE, tensor)(folder)

    return write


def said_in_training(**changes: Any) -> Change:
    def write(folder: Path) -> None:
        policy = json.loads((folder / "config.json").read_text()) | changes
        (folder / "train_config.json").write_text(json.dumps({"policy": policy}))

    return write


OPTIONS: Final[Mapping[str, Case]] = {
    "an unknown flag": ("act", options(use_gripper_head=True), "use_gripper_head"),
    "a misspelt option": ("act", options(feedforward_activaton="gelu"), "feedforward_activaton"),
    "an average over chunks": ("act", options(temporal_ensemble_coeff=0.01), "temporal_ensemble_coeff"),
    "a dilated network": ("act", options(replace_final_stride_with_dilation=1), "replace_final_stride_with_dilation"),
    "several observations": ("act", options(n_obs_steps=2), "n_obs_steps"),
    "more actions than a chunk has": ("act", options(n_action_steps=11), "n_action_steps"),
    "a longer chunk than the weights'": ("act", options(chunk_size=20), "decoder_pos_embed"),
    "an unknown activation": ("act", options(feedforward_activation="glu"), "feedforward_activation"),
    "a layer more": ("act", options(n_decoder_layers=2), r"model\.decoder\.layers\.1"),
    "a layer less": ("act", options(n_encoder_layers=1), r"model\.encoder\.layers\.1"),
    "a deeper network": ("act", options(vision_backbone="resnet34"), "backbone"),
    "norms before each part": ("act", options(pre_norm=True), r"model\.encoder\.norm"),
    "offsets in a family without": ("act", options(use_relative_actions=True), "use_relative_actions"),
    "an option of another family": ("act", options(empty_cameras=1), "empty_cameras"),
    "another family": ("act", options(type="vqbet"), "vqbet"),
    "a state of the environment": (
        "act",
        option("input_features", "observation.environment_state", value={"type": "ENV", "shape": [4]}),
        r"observation\.environment_state",
    ),
    "a second action": ("act", option("output_features", "base", value={"type": "ACTION", "shape": [2]}), "base"),
    "a depth camera": ("act", option("input_features", TOP, "shape", value=[1, 64, 96]), TOP),
    "a camera of another name": (
        "act",
        lambda folder: edit_json(folder / "config.json", camera_renamed),
        r"observation\.images\.front",
    ),
    "the cameras in another order": (
        "pi0",
        lambda folder: edit_json(folder / "config.json", inputs_turned_over),
        r"order observation\.images\.wrist, observation\.images\.base, the normalizer .*\.wrist; the former",
    ),
    "an empty camera that is none": (
        "pi0",
        option("input_features", EMPTY, value={"type": "VISUAL", "shape": [3, 56, 56]}),
        f"lists {EMPTY}, but has empty_cameras = 0: it counts as a camera",
    ),
    "pixels before channels": ("act", option("input_features", TOP, "shape", value=[64, 96, 3]), TOP),
    "an option moved into another": ("act", options(model={"chunk_size": 10}), "has model ="),
    "a longer state": ("act", option("input_features", STATE, "shape", value=[7]), STATE),
    "a shorter action": ("act", option("output_features", "action", "shape", value=[5]), "action"),
    "another mode in config.json": ("act", option("normalization_mapping", "ACTION", value="MIN_MAX"), "ACTION"),
    "half of its schedule": ("diffusion", options(prediction_type="v_prediction"), "prediction_type"),
    "two sizes of an image": ("pi0", options(resize_imgs_with_padding=[56, 56]), "resize_imgs_with_padding"),
    "two lengths of a prompt": ("pi0", options(tokenizer_max_length=30), "tokenizer_max_length"),
    "offsets in one file only": ("pi0", options(use_relative_actions=True), "use_relative_actions"),
    "a memory": ("pi0", options(use_visual_memory=True), "use_visual_memory"),
    "what training said": ("pi0", said_in_training(chunk_size=12), "chunk_size"),
}
STEPS: Final[Mapping[str, Case]] = {
    "an unknown step": ("act", steps(PRE, lambda all_steps: all_steps.append({"registry_name": "clip"})), "clip"),
    "a step twice": ("act", steps(POST, lambda all_steps: all_steps.append(all_steps[0])), "unnormalizer_processor"),
    "another order": ("pi05", steps(PRE, lambda all_steps: all_steps.insert(5, all_steps.pop(3))), "in this order"),
    "a step less": ("act", steps(POST, lambda all_steps: all_steps.pop(0)), "unnormalizer_processor"),
    "an unknown setting": ("act", settings(PRE, "normalizer_processor", clip=5.0), "clip"),
    "an unknown setting of the tokenizer": ("pi0", settings(PRE, "tokenizer_processor", lower_case=True), "lower_case"),
    "an unknown setting of a batch": ("act", settings(PRE, "to_batch_processor", squeeze=True), "squeeze"),
    "an unknown setting of the device": ("act", settings(POST, "device_processor", scale=2.0), "scale"),
    "an unknown setting of the prompt": (
        "pi05",
        settings(PRE, "pi05_prepare_state_tokenizer_processor_step", bins=512),
        "bins",
    ),
    "an unknown part of a step": ("act", step(PRE, "normalizer_processor", when="training"), "when"),
    "an unknown mode": ("act", settings(PRE, "normalizer_processor", norm_map={"STATE": "ROBUST"}), "ROBUST"),
    "a kind of feature that is none": (
        "act",
        settings(POST, "unnormalizer_processor", norm_map={"action": "MEAN_STD"}),
        "norm_map",
    ),
    "another mode for the robot than for training": (
        "act",
        settings(POST, "unnormalizer_processor", norm_map={"ACTION": "MIN_MAX"}),
        f"{PRE} normalises ACTION by MEAN_STD, {POST} by MIN_MAX; the latter",
    ),
    "actions that are left normalised": (
        "act",
        settings(POST, "unnormalizer_processor", norm_map={"STATE": "MEAN_STD"}),
        f"{PRE} normalises ACTION by MEAN_STD, but {POST} leaves it as it is",
    ),
    "actions that were never normalised": (
        "act",
        settings(PRE, "normalizer_processor", norm_map={"STATE": "MEAN_STD", "VISUAL": "MEAN_STD"}),
        f"{PRE} normalises ACTION by IDENTITY, {POST} by MEAN_STD; the latter",
    ),
    "a feature that is left out": ("act", settings(PRE, "normalizer_processor", features={}), STATE),
    "a feature of another kind": (
        "act",
        listed(STATE, type="VISUAL", shape=[6]),
        f"has {STATE} as STATE, the normalizer step of {PRE} as 'VISUAL'",
    ),
    "a camera as an action": ("act", listed(TOP, type="ACTION", shape=[3, 64, 96]), f"{TOP} as VISUAL, .* as 'ACTION'"),
    "a feature of another size": ("act", listed(STATE, type="STATE", shape=[7]), r"as \[6\], .* as \[7\]; the former"),
    "a camera that is no input": (
        "act",
        listed("observation.images.side", type="VISUAL", shape=[3, 64, 96]),
        r"names observation\.images\.side, which is no input",
    ),
    "an observation to be normalised that is none": (
        "act",
        settings(PRE, "normalizer_processor", normalize_observation_keys=["observation.stat", TOP]),
        r"names observation\.stat, which is no input",
    ),
    "no statistics": ("act", step(PRE, "normalizer_processor", state_file=None), STATE),
    "statistics of another file": ("act", step(PRE, "normalizer_processor", state_file="a.safetensors"), "a.safetens"),
    "rounding": ("act", settings(PRE, "device_processor", float_dtype="float16"), "float_dtype"),
    "a camera renamed to none": (
        "act",
        settings(PRE, "rename_observations_processor", rename_map={"observation.images.a": "observation.images.b"}),
        r"observation\.images\.b",
    ),
    "two cameras renamed to one": (
        "act",
        settings(PRE, "rename_observations_processor", rename_map={"a": TOP, "b": TOP}),
        TOP,
    ),
    "another task": ("pi0", settings(PRE, "tokenizer_processor", task_key="subtask"), "task_key"),
    "prompts without an end": ("pi0", settings(PRE, "tokenizer_processor", truncation=False), "truncation"),
    "offsets that stay offsets": ("pi0", settings(PRE, "relative_actions_processor", enabled=True), "relative_actions"),
    "no steps after": ("act", gone(POST), POST),
    "no steps before": ("act", gone(PRE), PRE),
}
FILES: Final[Mapping[str, Case]] = {
    "an adapter": ("act", stray_numbers("adapter_model.safetensors", "lora"), "adapter_config.json"),
    "an adapter's config": ("act", stray("adapter_config.json", '{"peft_type": "LORA"}'), "adapter"),
    "an adapter's pickle": ("act", stray("adapter_model.bin"), "adapter"),
    "an adapter in a folder": ("act", stray_numbers("lora/adapter_model.safetensors", "lora"), "lora"),
    "a second head": ("act", stray_numbers("value_head.safetensors", "value"), "value_head.safetensors"),
    "a shard": ("act", stray_numbers("model-00003-of-00003.safetensors", "x"), "model-00003-of-00003.safetensors"),
    "an index": ("act", stray("model.safetensors.index.json"), "model.safetensors.index.json"),
    "statistics of a step that is none": (
        "act",
        stray_numbers("policy_preprocessor_step_9_clip.safetensors", "x"),
        "policy_preprocessor_step_9_clip.safetensors",
    ),
    "statistics of openpi": ("act", stray("norm_stats.json"), "norm_stats.json"),
    "statistics of openpi in their place": (
        "pi0",
        stray("assets/arm/norm_stats.json"),
        "assets/arm/norm_stats.json",
    ),
    "averaged weights": ("act", stray("ema.pt"), "ema.pt"),
}
NUMBERS: Final[Mapping[str, Case]] = {
    "statistics of another feature": ("act", moved(STATISTICS, STATE, "observation.joints"), STATE),
    "statistics of another robot": ("act", numbers(STATISTICS, **{f"{STATE}.mean": [0.0] * 7}), STATE),
    "other statistics for the robot than for training": (
        "act",
        numbers("policy_postprocessor_step_0_unnormalizer_processor.safetensors", **{"action.std": [9.0] * 6}),
        "different statistics of action",
    ),
    "a mean that is none": ("act", numbers(STATISTICS, **{f"{STATE}.mean": [np.nan] * 6}), STATE),
    "pictures of 0 to 255": (
        "act",
        numbers(STATISTICS, **{f"{TOP}.mean": [[[120.0]]] * 3}),
        f"{TOP}.mean of .* is 120,",
    ),
    "pictures below black": ("act", numbers(STATISTICS, **{f"{TOP}.mean": [[[-2.0]]] * 3}), f"{TOP}.mean of .* is -2,"),
    "a mean beyond what is computed with": ("act", wide(STATISTICS, f"{STATE}.mean", 1e300), "not finite"),
    "a negative spread": ("act", numbers(STATISTICS, **{f"{STATE}.std": [-1.0] * 6}), STATE),
    "bounds that are turned over": ("act", numbers(STATISTICS, **{f"{STATE}.min": [1e9] * 6}), STATE),
    "a spread of another name": ("act", moved(STATISTICS, f"{STATE}.std", f"{STATE}.scale"), f"{STATE} .*std"),
    "statistics that were never computed": (
        "act",
        numbers(STATISTICS, **{f"{STATE}.mean": [0.0] * 6, f"{STATE}.std": [0.0] * 6}),
        STATE,
    ),
    "a head that is none": ("act", numbers(WEIGHTS, **{"model.progress.weight": [1.0]}), r"model\.progress\.weight"),
    "a factor of a weight": (
        "act",
        numbers(WEIGHTS, **{"model.action_head.weight_scale": [1.0]}),
        r"model\.action_head\.weight_scale",
    ),
    "a weight of another name": ("act", moved(WEIGHTS, "model.action_head.b", "model.action_head.B"), "action_head"),
    "an adapter among the weights": (
        "act",
        numbers(WEIGHTS, **{"model.action_head.lora_A.weight": [[1.0]]}),
        "adapter's tensors",
    ),
    "a weight twice": ("pi0", numbers(WEIGHTS, **{"action_in_proj.bias": [1.0]}), "the weights have action_in_proj"),
    "experts in a layer": ("pi0", numbers(WEIGHTS, **{f"{LAYER}.0.mlp.router.weight": [1.0]}), "router"),
    "norms in a layer": ("pi0", numbers(WEIGHTS, **{f"{LAYER}.0.self_attn.q_norm.weight": [1.0]}), "q_norm"),
    "half a layer more": ("pi0", numbers(WEIGHTS, **{f"{LAYER}.9.mlp.up_proj.weight": [[1.0]]}), r"layers"),
}
CASES: Final = {**OPTIONS, **STEPS, **FILES, **NUMBERS}


def told_of(folder: Path) -> str:
    """The refusal, or what is warned of."""
    try:
        checkpoint = read_checkpoint(folder)
        build_graphs(checkpoint, (1,), "fp32")
    except CheckpointError as exc:
        return str(exc)
    return " | ".join(checkpoint.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_what_could_be_overlooked_is_named(copy: CopyCheckpoint, case: str) -> None:
    name, change, wanted = CASES[case]
    folder = copy(name)
    (folder / "golden_meta.json").unlink(missing_ok=True)
    change(folder)
    told = told_of(folder).replace(str(folder), "")
    assert re.search(wanted, told), told


@pytest.mark.parametrize("name", ["act", "pi0", "pi05", "diffusion"])
def test_without_any_of_them_nothing_is_said(copy: CopyCheckpoint, name: str) -> None:
    folder = copy(name)
    (folder / "golden_meta.json").unlink(missing_ok=True)
    assert told_of(folder) == ""
