"""Writes checkpoints with random weights, in lerobot's layout; configs and tokenizers start from recorded ones.

write_checkpoint(tmp_path / "pi", PiSizes(family="pi05", layers=3, empty_cameras=1))
write_checkpoint(tmp_path / "smol", SmolVlaSizes(num_expert_layers=2, storage="mixed", shards=2))
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from support.checkpoints.golden import golden_folder
from support.checkpoints.random_tensors import as_stored, draw, tensor_shapes
from support.checkpoints.sizes import PiSizes, SmolVlaSizes

__all__ = ["write_checkpoint", "write_safetensors"]

Array = npt.NDArray[Any]
_SAFETENSORS_NAMES: Final = {
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float64": "F64",
    "float8_e4m3fn": "F8_E4M3",
    "int64": "I64",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def write_checkpoint(folder: Path, sizes: SmolVlaSizes | PiSizes, *, seed: int = 0) -> Path:
    """The whole folder; the same seed and sizes give the same bytes. Returns `folder`."""
    source = golden_folder(sizes.family)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(seed)
    tensors = {name: as_stored(name, draw(name, shape, random), sizes) for name, shape in tensor_shapes(sizes)}
    _write_weights(folder, tensors, sizes.shards)
    config = _config(json.loads((source / "config.json").read_text()), sizes)
    _write_json(folder / "config.json", config)
    _write_processors(folder, source, config, sizes, random)
    shutil.copytree(source / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    if isinstance(sizes, SmolVlaSizes):
        shutil.copytree(source / "vlm", folder / "vlm", dirs_exist_ok=True)
        _write_json(
            folder / "vlm/config.json", _vlm_config(json.loads((source / "vlm/config.json").read_text()), sizes)
        )
    return folder


def write_safetensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Any tensors, bfloat16 too; the header is padded with blanks to 8 bytes as the format's library does."""
    entries: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    position = 0
    for name, tensor in tensors.items():
        offsets = [position, position + tensor.nbytes]
        entries[name] = {"dtype": _SAFETENSORS_NAMES[tensor.dtype.name], "shape": tensor.shape, "data_offsets": offsets}
        position += tensor.nbytes
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for tensor in tensors.values():
            file.write(tensor.tobytes())


def _write_weights(folder: Path, tensors: Mapping[str, Array], shards: int) -> None:
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors, {"format": "pt"})
        return
    shard_of = {name: f"model-{i % shards + 1:05d}-of-{shards:05d}.safetensors" for i, name in enumerate(tensors)}
    for shard in set(shard_of.values()):
        write_safetensors(folder / shard, {name: tensors[name] for name in tensors if shard_of[name] == shard})
    total = sum(tensor.nbytes for tensor in tensors.values())
    _write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": shard_of})


def _config(config: dict[str, Any], s: SmolVlaSizes | PiSizes) -> dict[str, Any]:
    modes = {**config["normalization_mapping"], **s.normalization}
    common = {
        "input_features": {
            "observation.state": {"type": "STATE", "shape": [s.state_dim]},
            **{f"observation.images.{name}": _camera(3, *size) for name, size in s.cameras.items()},
            **{f"observation.images.empty_camera_{i}": _camera(3, 32, 32) for i in range(s.empty_cameras)},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [s.action_dim]}},
        "empty_cameras": s.empty_cameras,
        "normalization_mapping": modes,
        "chunk_size": s.chunk,
        "n_action_steps": s.chunk,
        "max_state_dim": s.max_state_dim,
        "max_action_dim": s.max_action_dim,
        "tokenizer_max_length": s.max_tokens,
        "min_period": s.min_period,
        "max_period": s.max_period,
    }
    return {**config, **common, **_family_config(s), **s.config}


def _camera(*shape: int) -> dict[str, Any]:
    return {"type": "VISUAL", "shape": list(shape)}


def _family_config(s: SmolVlaSizes | PiSizes) -> dict[str, Any]:
    if isinstance(s, PiSizes):
        return {
            "num_inference_steps": s.steps,
            "image_resolution": [s.image_size, s.image_size],
            "use_relative_actions": s.relative,
            "relative_exclude_joints": list(s.excluded_joints),
            "action_feature_names": s.action_names,
        }
    return {
        "num_steps": s.steps,
        "resize_imgs_with_padding": list(s.resize),
        "num_vlm_layers": s.layers,
        "num_expert_layers": s.num_expert_layers,
        "self_attn_every_n_layers": s.self_attn_every,
        "expert_width_multiplier": s.expert_multiplier,
    }


def _vlm_config(config: dict[str, Any], s: SmolVlaSizes) -> dict[str, Any]:
    text = {
        "vocab_size": s.vocabulary,
        "hidden_size": s.width,
        "intermediate_size": s.mlp,
        "num_hidden_layers": max(s.vlm_layers, s.layers),
        "num_attention_heads": s.heads,
        "num_key_value_heads": s.kv_heads,
        "head_dim": s.head_dim,
        "rms_norm_eps": s.rms_eps,
    }
    vision = {
        "hidden_size": s.vision_width,
        "intermediate_size": s.vision_mlp,
        "num_hidden_layers": s.vision_layers,
        "num_attention_heads": s.vision_heads,
        "image_size": s.image_size,
        "patch_size": s.patch,
    }
    return {
        **config,
        "scale_factor": s.scale_factor,
        "text_config": {**config["text_config"], **text},
        "vision_config": {**config["vision_config"], **vision},
    }


def _write_processors(
    folder: Path, source: Path, config: dict[str, Any], s: SmolVlaSizes | PiSizes, random: np.random.RandomState
) -> None:
    statistics = {
        **_statistics("observation.state", s.state_dim, random),
        **_statistics("action", s.action_dim, random),
    }
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        pipeline = json.loads((source / name).read_text())
        for step in pipeline["steps"]:
            step["config"].update(_step_settings(step, config, s))
            if "state_file" in step:
                write_safetensors(folder / step["state_file"], statistics)
        _write_json(folder / name, pipeline)


def _step_settings(step: Mapping[str, Any], config: Mapping[str, Any], s: SmolVlaSizes | PiSizes) -> dict[str, Any]:
    relative = {"enabled": s.relative} if isinstance(s, PiSizes) else {}
    joints = {"exclude_joints": s.excluded_joints, "action_names": s.action_names} if isinstance(s, PiSizes) else {}
    features = {**config["input_features"], **config["output_features"]}
    normalization = {"features": features, "norm_map": config["normalization_mapping"]}
    settings: dict[str, dict[str, Any]] = {
        "rename_observations_processor": {"rename_map": dict(s.rename_map)},
        "tokenizer_processor": {"max_length": s.max_tokens},
        "relative_actions_processor": {**relative, **joints},
        "absolute_actions_processor": relative,
        "normalizer_processor": normalization,
        "unnormalizer_processor": normalization,
    }
    return settings.get(step["registry_name"], {})


def _statistics(feature: str, length: int, random: np.random.RandomState) -> dict[str, Array]:
    """One joint never moves: its spread and all its ranges are zero."""
    mean, std = random.uniform(-1, 1, length), random.uniform(0.3, 1.5, length)
    std[-1] = 0.0
    factors = {"min": -3.0, "max": 3.0, "q01": -2.3, "q99": 2.3, "q10": -1.3, "q90": 1.3}
    ranges = {name: mean + factor * std for name, factor in factors.items()}
    return {f"{feature}.{name}": np.asarray(v, np.float32) for name, v in {"mean": mean, "std": std, **ranges}.items()}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1))
