"""A demo policy's checkpoint, in the layout in which lerobot saves a SmolVLA: tiny, untrained, made from a seed.

config.json, model.safetensors       the policy
vlm/config.json                      head counts and patch size, as the VLM that a policy is made from says them
tokenizer/                           tokenizer.json and its settings
policy_preprocessor.json, policy_postprocessor.json and a .safetensors each     normalisation, with its statistics
README.md                            says that it is untrained
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from reflex_export.demo_data.demo_robots import FRANKA, DemoRobot
from reflex_export.demo_data.seeded_weights import TinySmolVla, seeded_weights
from reflex_export.demo_data.tokenizer import PAD, build_tokenizer
from reflex_export.graph.onnx_model import Array

__all__ = ["ACTION_STATISTICS", "HORIZON", "SIZES", "STATE_STATISTICS", "write_demo_checkpoint"]

SIZES: Final = FRANKA.sizes
STATE_STATISTICS: Final = FRANKA.state
ACTION_STATISTICS: Final = FRANKA.action
HORIZON: Final = 50
DENOISING_STEPS: Final = 10
NORMALIZATION: Final = {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}
_SAFETENSORS_ALIGNMENT_BYTES: Final = 8
_CARD: Final = """---
library_name: lerobot
tags: [smolvla, robotics]
---

# The demo policy's checkpoint

**Untrained.** The weights are random numbers from a seed; the architecture is SmolVLA's, with tiny widths. It exists so
that `reflex export` and everything after it can be tried on any machine. Its actions mean nothing: let no real arm
follow them.

Made by `make demo-policy`, not edited; a test compares this folder with what the code makes.
"""


def write_demo_checkpoint(folder: Path, seed: int = 0, robot: DemoRobot = FRANKA) -> None:
    """Write the whole folder, over what lies there; the same seed and tokenizers release give the same bytes."""
    preprocessor = "policy_preprocessor_step_5_normalizer_processor.safetensors"
    postprocessor = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
    _write_json(folder / "config.json", _config(robot))
    _write_json(folder / "vlm" / "config.json", _vlm_config(robot.sizes))
    _write_json(folder / "policy_preprocessor.json", _preprocessor(preprocessor, robot))
    _write_json(folder / "policy_postprocessor.json", _postprocessor(postprocessor, robot))
    for name in (preprocessor, postprocessor):
        (folder / name).write_bytes(safetensors_bytes(_statistics(robot)))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(seeded_weights(robot.sizes, seed)))
    _write(folder / "tokenizer" / "tokenizer.json", build_tokenizer())
    _write_json(folder / "tokenizer" / "tokenizer_config.json", _tokenizer_config(robot.sizes))
    _write(folder / "README.md", _CARD)


def safetensors_bytes(tensors: Mapping[str, Array]) -> bytes:
    """A safetensors file of float32 arrays, in the order given."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        entries[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [begin, end]}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _SAFETENSORS_ALIGNMENT_BYTES)
    body = b"".join(tensor.astype("<f4").tobytes() for tensor in tensors.values())
    return len(header).to_bytes(8, "little") + header + body


def _statistics(robot: DemoRobot) -> dict[str, Array]:
    named = {"action": robot.action, "observation.state": robot.state}
    return {
        f"{feature}.{statistic}": np.array(values, np.float32)
        for feature, statistics in named.items()
        for statistic, values in statistics.items()
    }


def _config(robot: DemoRobot) -> dict[str, Any]:
    return {
        "type": "smolvla",
        "n_obs_steps": 1,
        "input_features": _input_features(robot),
        "output_features": _output_features(robot),
        "normalization_mapping": NORMALIZATION,
        "chunk_size": HORIZON,
        "n_action_steps": HORIZON,
        "num_steps": DENOISING_STEPS,
        "max_state_dim": robot.sizes.max_state_dim,
        "max_action_dim": robot.sizes.max_action_dim,
        "resize_imgs_with_padding": [robot.sizes.image_size, robot.sizes.image_size],
        "empty_cameras": 0,
        "adapt_to_pi_aloha": False,
        "use_delta_joint_actions_aloha": False,
        "tokenizer_max_length": robot.sizes.max_tokens,
        "pad_language_to": "max_length",
        "vlm_model_name": "./vlm",
        "load_vlm_weights": False,
        "add_image_special_tokens": False,
        "attention_mode": "cross_attn",
        "prefix_length": 0,
        "num_vlm_layers": robot.sizes.layers,
        "num_expert_layers": 0,
        "self_attn_every_n_layers": robot.sizes.self_attn_every_n_layers,
        "expert_width_multiplier": robot.sizes.expert_width_multiplier,
        "min_period": 4e-3,
        "max_period": 4.0,
    }


def _vlm_config(sizes: TinySmolVla) -> dict[str, Any]:
    return {
        "model_type": "smolvlm",
        "scale_factor": sizes.scale_factor,
        "text_config": {
            "model_type": "llama",
            "hidden_act": "silu",
            "hidden_size": sizes.width,
            "intermediate_size": sizes.mlp,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads,
            "head_dim": sizes.head_dim,
            "rms_norm_eps": 1e-5,
            "vocab_size": sizes.vocabulary,
        },
        "vision_config": {
            "model_type": "smolvlm_vision",
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": sizes.vision_width,
            "intermediate_size": sizes.vision_mlp,
            "num_hidden_layers": sizes.vision_layers,
            "num_attention_heads": sizes.vision_heads,
            "layer_norm_eps": 1e-6,
            "image_size": sizes.image_size,
            "patch_size": sizes.patch_size,
        },
    }


def _tokenizer_config(sizes: TinySmolVla) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "padding_side": "right",
        "truncation_side": "right",
        "model_max_length": sizes.max_tokens,
    }


def _preprocessor(state_file: str, robot: DemoRobot) -> dict[str, Any]:
    tokenizer = {
        "max_length": robot.sizes.max_tokens,
        "task_key": "task",
        "padding_side": "right",
        "padding": "max_length",
        "truncation": True,
        "tokenizer_name": "./tokenizer",
    }
    steps = [
        _step("rename_observations_processor", {"rename_map": {}}),
        _step("to_batch_processor"),
        _step("smolvla_new_line_processor"),
        _step("tokenizer_processor", tokenizer),
        _step("device_processor", {"device": "cpu", "float_dtype": None}),
        _step("normalizer_processor", _normalization(_input_features(robot) | _output_features(robot)))
        | {"state_file": state_file},
    ]
    return {"name": "policy_preprocessor", "steps": steps}


def _postprocessor(state_file: str, robot: DemoRobot) -> dict[str, Any]:
    steps = [
        _step("unnormalizer_processor", _normalization(_output_features(robot))) | {"state_file": state_file},
        _step("device_processor", {"device": "cpu", "float_dtype": None}),
    ]
    return {"name": "policy_postprocessor", "steps": steps}


def _step(name: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"registry_name": name, "config": config or {}}


def _normalization(features: Mapping[str, Any]) -> dict[str, Any]:
    return {"eps": 1e-8, "features": features, "norm_map": NORMALIZATION}


def _input_features(robot: DemoRobot) -> dict[str, Any]:
    return {
        "observation.state": {"type": "STATE", "shape": [len(robot.state["mean"])]},
        **{f"observation.images.{camera}": {"type": "VISUAL", "shape": robot.camera_shape} for camera in robot.cameras},
    }


def _output_features(robot: DemoRobot) -> dict[str, Any]:
    return {"action": {"type": "ACTION", "shape": [len(robot.action["mean"])]}}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    _write(path, json.dumps(content, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
