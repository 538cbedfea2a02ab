"""Checkpoints with random weights, of any size, in lerobot's layout; configs and tokenizers start from recorded ones.

    write_checkpoint(tmp_path / "pi", PiSizes(family="pi05", layers=3, empty_cameras=1))
    write_checkpoint(tmp_path / "smol", SmolVlaSizes(num_expert_layers=2, storage="mixed", shards=2))

Names and shapes are listed here by hand, apart from the product's own table, and a test holds them against the
recorded files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import ml_dtypes
import numpy as np
import numpy.typing as npt

from support.golden import golden_folder

__all__ = ["PiSizes", "Sizes", "SmolVlaSizes", "tensor_shapes", "write_checkpoint", "write_safetensors"]

Array = npt.NDArray[Any]
Shapes = Iterator[tuple[str, tuple[int, ...]]]
Storage = Literal["float32", "float16", "bfloat16", "mixed"]
"""`mixed` is what the published files of each family have: bfloat16 with islands of float32."""

SMOL_VLM: Final = "vlm_with_expert.vlm."
SMOL_EXPERT: Final = "vlm_with_expert.lm_expert."
PALIGEMMA: Final = "paligemma_with_expert.paligemma."
GEMMA_EXPERT: Final = "paligemma_with_expert.gemma_expert."
_FLOAT32_IN_MIXED_PI: Final = ("patch_embedding", "position_embedding", "layernorm", "model.norm")
_SAFETENSORS_NAMES: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64"}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What both architectures have; lengths are counts, image sizes are pixels."""

    cameras: Mapping[str, tuple[int, int]] = field(default_factory=lambda: {"front": (40, 56), "wrist": (48, 48)})
    """Height and width by name, in the order of the config."""
    empty_cameras: int = 0
    state_dim: int = 5
    action_dim: int = 4
    max_state_dim: int = 9
    max_action_dim: int = 8
    chunk: int = 6
    steps: int = 3
    max_tokens: int = 12
    vocabulary: int = 400
    """Rows of the embedding; the recorded tokenizers have 384 (SmolVLA) and 288 (pi) tokens."""
    width: int = 56
    """No two of the widths are equal, so that a transposed or mistaken matrix shows."""
    mlp: int = 80
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 12
    expert_mlp: int = 56
    vision_width: int = 32
    vision_mlp: int = 40
    vision_layers: int = 2
    patch: int = 8
    image_size: int = 32
    """Side of the square that the position table covers."""
    min_period: float = 4e-3
    max_period: float = 4.0
    storage: Storage = "float32"
    prefix: str = "model."
    """Before every tensor's name; "" as in the published base files of pi."""
    shards: int = 1
    normalization: Mapping[str, str] = field(default_factory=dict)
    """STATE and ACTION modes; empty keeps the family's."""
    rename_map: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """Further entries of config.json."""


@dataclass(frozen=True, kw_only=True)
class SmolVlaSizes(Sizes):
    vision_heads: int = 4
    scale_factor: int = 2
    expert_multiplier: float = 0.75
    """Times `width` must be even, as half of the time embedding are sines."""
    self_attn_every: int = 2
    num_expert_layers: int = 0
    """0 means one per VLM layer, else a divisor k of `layers`: expert i belongs to VLM layer i * layers / k. The
    reference runs only if `self_attn_every` gives both the same kind of attention."""
    vlm_layers: int = 4
    """Of the VLM's own config; `layers` of them are used."""
    resize: tuple[int, int] = (32, 32)
    """Width, height."""
    rms_eps: float = 1e-5

    @property
    def family(self) -> str:
        return "smolvla"

    @property
    def expert_width(self) -> int:
        return int(self.width * self.expert_multiplier)


@dataclass(frozen=True, kw_only=True)
class PiSizes(Sizes):
    family: Literal["pi0", "pi05"] = "pi0"
    kv_heads: int = 1
    expert_width: int = 24
    relative: bool = False
    excluded_joints: tuple[str, ...] = ("gripper",)
    action_names: tuple[str, ...] | None = None


def write_checkpoint(folder: Path, sizes: SmolVlaSizes | PiSizes, *, seed: int = 0) -> Path:
    """The whole folder; the same seed and sizes give the same bytes. Returns `folder`."""
    source = golden_folder(sizes.family)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(seed)
    tensors = {name: _store(name, draw(name, shape, random), sizes) for name, shape in tensor_shapes(sizes)}
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


def tensor_shapes(sizes: SmolVlaSizes | PiSizes) -> Shapes:
    """Every tensor of the checkpoint, dead ones too, by its whole name."""
    listed = _smolvla(sizes) if isinstance(sizes, SmolVlaSizes) else _pi(sizes)
    for name, shape in listed:
        yield sizes.prefix + name, shape


def draw(name: str, shape: tuple[int, ...], random: np.random.RandomState) -> Array:
    """Values that keep activations of order one and attention away from uniform."""
    noise = random.standard_normal(shape)
    if len(shape) == 1:
        is_centred = name.endswith(".bias") or ("paligemma_with_expert" in name and "vision_tower" not in name)
        return np.asarray(0.1 * noise + (0.0 if is_centred else 1.0), np.float32)
    gain = 1.5 if ".self_attn." in name or "patch_embedding" in name else 1.0
    fan_in = 4.0 if "position_embedding" in name else float(np.prod(shape[1:]))
    return np.asarray(gain * noise / np.sqrt(fan_in), np.float32)


def _linear(name: str, out: int, into: int) -> Shapes:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _vision(stem: str, s: Sizes) -> Shapes:
    width = s.vision_width
    yield f"{stem}embeddings.patch_embedding.weight", (width, 3, s.patch, s.patch)
    yield f"{stem}embeddings.patch_embedding.bias", (width,)
    yield f"{stem}embeddings.position_embedding.weight", ((s.image_size // s.patch) ** 2, width)
    for layer in range(s.vision_layers):
        name = f"{stem}encoder.layers.{layer}"
        for norm in ("layer_norm1", "layer_norm2"):
            yield f"{name}.{norm}.weight", (width,)
            yield f"{name}.{norm}.bias", (width,)
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"{name}.self_attn.{projection}", width, width)
        yield from _linear(f"{name}.mlp.fc1", s.vision_mlp, width)
        yield from _linear(f"{name}.mlp.fc2", width, s.vision_mlp)
    yield f"{stem}post_layernorm.weight", (width,)
    yield f"{stem}post_layernorm.bias", (width,)


def _decoder_layer(name: str, s: Sizes, width: int, mlp: int, key_input: int | None = None) -> Shapes:
    """Everything but the norms. `key_input` is the width that keys and values are made from."""
    queries, keys = s.heads * s.head_dim, s.kv_heads * s.head_dim
    yield f"{name}.self_attn.q_proj.weight", (queries, width)
    yield f"{name}.self_attn.k_proj.weight", (keys, key_input or width)
    yield f"{name}.self_attn.v_proj.weight", (keys, key_input or width)
    yield f"{name}.self_attn.o_proj.weight", (width, queries)
    yield f"{name}.mlp.gate_proj.weight", (mlp, width)
    yield f"{name}.mlp.up_proj.weight", (mlp, width)
    yield f"{name}.mlp.down_proj.weight", (width, mlp)


def _norms(name: str, width: int) -> Shapes:
    yield f"{name}.input_layernorm.weight", (width,)
    yield f"{name}.post_attention_layernorm.weight", (width,)


def _smolvla(s: SmolVlaSizes) -> Shapes:
    text, expert = f"{SMOL_VLM}model.text_model", SMOL_EXPERT
    yield from _vision(f"{SMOL_VLM}model.vision_model.", s)
    yield f"{SMOL_VLM}model.connector.modality_projection.proj.weight", (s.width, s.vision_width * s.scale_factor**2)
    yield f"{text}.embed_tokens.weight", (s.vocabulary, s.width)
    yield f"{text}.norm.weight", (s.width,)
    yield f"{SMOL_VLM}lm_head.weight", (s.vocabulary, s.width)
    for layer in range(s.layers):
        yield from _decoder_layer(f"{text}.layers.{layer}", s, s.width, s.mlp)
        yield from _norms(f"{text}.layers.{layer}", s.width)
    for layer in range(s.num_expert_layers if s.num_expert_layers > 0 else s.layers):
        is_self = s.self_attn_every > 0 and layer % s.self_attn_every == 0
        key_input = s.expert_width if is_self else s.kv_heads * s.head_dim
        yield from _decoder_layer(f"{expert}layers.{layer}", s, s.expert_width, s.expert_mlp, key_input)
        yield from _norms(f"{expert}layers.{layer}", s.expert_width)
    yield f"{expert}norm.weight", (s.expert_width,)
    yield from _linear("state_proj", s.width, s.max_state_dim)
    yield from _action_heads(s, s.expert_width)
    yield from _time_heads("action_time_mlp", s.expert_width, 2 * s.expert_width)


def _pi(s: PiSizes) -> Shapes:
    language, expert = f"{PALIGEMMA}model.language_model", f"{GEMMA_EXPERT}model"
    yield from _vision(f"{PALIGEMMA}model.vision_tower.vision_model.", s)
    yield from _linear(f"{PALIGEMMA}model.multi_modal_projector.linear", s.width, s.vision_width)
    if s.prefix:
        yield f"{language}.embed_tokens.weight", (s.vocabulary, s.width)
    yield f"{PALIGEMMA}lm_head.weight", (s.vocabulary, s.width)
    yield f"{GEMMA_EXPERT}lm_head.weight", (s.vocabulary, s.expert_width)
    yield f"{language}.norm.weight", (s.width,)
    for layer in range(s.layers):
        yield from _decoder_layer(f"{language}.layers.{layer}", s, s.width, s.mlp)
        yield from _norms(f"{language}.layers.{layer}", s.width)
        yield from _decoder_layer(f"{expert}.layers.{layer}", s, s.expert_width, s.expert_mlp)
        yield from _expert_norm(f"{expert}.layers.{layer}.input_layernorm", s)
        yield from _expert_norm(f"{expert}.layers.{layer}.post_attention_layernorm", s)
    yield from _expert_norm(f"{expert}.norm", s)
    yield from _action_heads(s, s.expert_width)
    if s.family == "pi05":
        yield from _time_heads("time_mlp", s.expert_width, s.expert_width)
        return
    yield from _time_heads("action_time_mlp", s.expert_width, 2 * s.expert_width)
    yield from _linear("state_proj", s.expert_width, s.max_state_dim)


def _expert_norm(name: str, s: PiSizes) -> Shapes:
    if s.family == "pi05":
        yield from _linear(f"{name}.dense", 3 * s.expert_width, s.expert_width)
    else:
        yield f"{name}.weight", (s.expert_width,)


def _action_heads(s: Sizes, width: int) -> Shapes:
    yield from _linear("action_in_proj", width, s.max_action_dim)
    yield from _linear("action_out_proj", s.max_action_dim, width)


def _time_heads(stem: str, width: int, into: int) -> Shapes:
    yield from _linear(f"{stem}_in", width, into)
    yield from _linear(f"{stem}_out", width, width)


def _store(name: str, tensor: Array, sizes: SmolVlaSizes | PiSizes) -> Array:
    """The tensor in the type in which the file keeps it."""
    if sizes.storage == "float32" or (
        sizes.storage == "mixed" and _stays_float32(name.removeprefix(sizes.prefix), sizes)
    ):
        return tensor
    return tensor.astype(np.float16 if sizes.storage == "float16" else ml_dtypes.bfloat16)


def _stays_float32(name: str, sizes: SmolVlaSizes | PiSizes) -> bool:
    if not name.startswith(("vlm_with_expert.", "paligemma_with_expert.")):
        return True
    if isinstance(sizes, PiSizes):
        return any(part in name for part in _FLOAT32_IN_MIXED_PI)
    if not name.startswith(f"{SMOL_EXPERT}layers.") or ("k_proj" not in name and "v_proj" not in name):
        return False
    layer = int(name.removeprefix(f"{SMOL_EXPERT}layers.").partition(".")[0])
    return sizes.self_attn_every <= 0 or layer % sizes.self_attn_every != 0


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
