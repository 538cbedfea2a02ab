"""SmolVLA checkpoints of any size with random weights, in memory."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models

from reflex_export.checkpoint import Camera, Checkpoint, Normalizer, Text
from reflex_export.configs import parse_config
from reflex_export.configs.vlm import VlmConfig, parse_vlm_config
from support.checkpoints.golden import ArrayTensors

VOCABULARY = 40


def random_checkpoint(seed: int = 0, *, cameras: int = 2, dim: int = 6, bfloat16: bool = False, **o: Any) -> Checkpoint:
    """Options are config keys, or sizes: width, heads, kv_heads, head_dim, image, patch, table, scale_factor, ..."""
    size = {
        "width": 48, "heads": 4, "kv_heads": 2, "head_dim": 8, "mlp": 56, "image": 32, "patch": 8, "table": 4,
        "scale_factor": 2, "vision_width": 24, "vision_heads": 3, "vision_layers": 2, "vision_mlp": 40,
        "expert_width": 36, "expert_mlp": 44,
    }  # fmt: skip
    size |= {key: o.pop(key) for key in list(o) if key in size}
    config: dict[str, Any] = {
        "type": "smolvla", "vlm_model_name": "./vlm",
        "chunk_size": 5, "max_state_dim": 16, "max_action_dim": 18, "empty_cameras": 0,
        "resize_imgs_with_padding": [size["image"], size["image"]], "adapt_to_pi_aloha": False,
        "add_image_special_tokens": False, "attention_mode": "cross_attn", "prefix_length": 0, "num_expert_layers": 0,
        "num_vlm_layers": 4,
        "expert_width_multiplier": size["expert_width"] / size["width"],
        "self_attn_every_n_layers": 2, "min_period": 4e-3, "max_period": 4.0,
    } | o  # fmt: skip
    keys = [f"camera{index}" for index in range(cameras)]
    keys += [f"empty_camera_{index}" for index in range(config["empty_cameras"])]
    tensors = _tensors(size, config, np.random.RandomState(seed))
    if bfloat16:
        tensors = {n: t if "action_" in n else t.astype(ml_dtypes.bfloat16) for n, t in tensors.items()}
    return Checkpoint(
        family="smolvla",
        config=parse_config("smolvla", config),
        tensors=ArrayTensors(tensors),
        cameras=tuple(Camera(f"observation.images.{k}", k, (3, 24, 32), k.startswith("empty")) for k in keys),
        state_dim=dim,
        action_dim=dim,
        state=_statistics(dim, seed),
        action=_statistics(dim, seed + 1),
        images={},
        text=Text(_tokenizer(), 7, "right", "left", 2),
        vlm_config=_vlm_config(size),
    )


def _vlm_config(size: dict[str, int]) -> VlmConfig:
    text = {
        "hidden_size": size["width"], "num_attention_heads": size["heads"], "num_key_value_heads": size["kv_heads"],
        "head_dim": size["head_dim"], "rms_norm_eps": 1e-5,
    }  # fmt: skip
    vision = {"num_attention_heads": size["vision_heads"], "hidden_size": size["vision_width"]}
    whole = {"scale_factor": size["scale_factor"], "text_config": text, "vision_config": vision}
    return parse_vlm_config(whole, "vlm/config.json")


def _statistics(dim: int, seed: int) -> Normalizer:
    random = np.random.RandomState(100 + seed)
    std = random.uniform(0.5, 2.0, dim).astype(np.float32)
    return Normalizer("MEAN_STD", {"mean": random.standard_normal(dim).astype(np.float32), "std": std})


def _tokenizer() -> str:
    words = {f"w{index}": index for index in range(VOCABULARY - 2)}
    words |= {"<fake_token_around_image>": VOCABULARY - 2, "<global-img>": VOCABULARY - 1}
    return str(Tokenizer(models.WordLevel(words, "w0")).to_str())


def _tensors(s: dict[str, int], c: dict[str, Any], random: np.random.RandomState) -> dict[str, npt.NDArray[Any]]:
    shapes: dict[str, tuple[int, ...]] = {}
    vlm, expert = "vlm_with_expert.vlm.model", "vlm_with_expert.lm_expert"
    inner, kv, vision = s["heads"] * s["head_dim"], s["kv_heads"] * s["head_dim"], f"{vlm}.vision_model"
    shapes[f"{vision}.embeddings.patch_embedding.weight"] = (s["vision_width"], 3, s["patch"], s["patch"])
    shapes[f"{vision}.embeddings.patch_embedding.bias"] = (s["vision_width"],)
    shapes[f"{vision}.embeddings.position_embedding.weight"] = (s["table"] ** 2, s["vision_width"])
    for layer in range(s["vision_layers"]):
        name = f"{vision}.encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{name}.self_attn.{part}", s["vision_width"], s["vision_width"])
        shapes |= _linear(f"{name}.mlp.fc1", s["vision_width"], s["vision_mlp"])
        shapes |= _linear(f"{name}.mlp.fc2", s["vision_mlp"], s["vision_width"])
        shapes |= {f"{name}.layer_norm{n}.{p}": (s["vision_width"],) for n in (1, 2) for p in ("weight", "bias")}
    shapes |= {f"{vision}.post_layernorm.{p}": (s["vision_width"],) for p in ("weight", "bias")}
    shuffled = s["vision_width"] * s["scale_factor"] ** 2
    shapes[f"{vlm}.connector.modality_projection.proj.weight"] = (s["width"], shuffled)
    shapes[f"{vlm}.text_model.embed_tokens.weight"] = (VOCABULARY, s["width"])
    for layer in range(c["num_vlm_layers"]):
        shapes |= _decoder(f"{vlm}.text_model.layers.{layer}", s["width"], s["width"], s["mlp"], inner, kv)
    for layer in range(c["num_expert_layers"] if c["num_expert_layers"] > 0 else c["num_vlm_layers"]):
        every = c["self_attn_every_n_layers"]
        source = s["expert_width"] if every > 0 and layer % every == 0 else kv
        shapes |= _decoder(f"{expert}.layers.{layer}", s["expert_width"], source, s["expert_mlp"], inner, kv)
    shapes[f"{expert}.norm.weight"] = (s["expert_width"],)
    shapes |= _linear("state_proj", c["max_state_dim"], s["width"])
    shapes |= _linear("action_in_proj", c["max_action_dim"], s["expert_width"])
    shapes |= _linear("action_out_proj", s["expert_width"], c["max_action_dim"])
    shapes |= _linear("action_time_mlp_in", 2 * s["expert_width"], s["expert_width"])
    shapes |= _linear("action_time_mlp_out", s["expert_width"], s["expert_width"])
    return {f"model.{name}": _draw(name, shape, random) for name, shape in shapes.items()}


def _decoder(name: str, width: int, kv_source: int, mlp: int, inner: int, kv: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.self_attn.q_proj.weight": (inner, width),
        f"{name}.self_attn.k_proj.weight": (kv, kv_source),
        f"{name}.self_attn.v_proj.weight": (kv, kv_source),
        f"{name}.self_attn.o_proj.weight": (width, inner),
        f"{name}.mlp.gate_proj.weight": (mlp, width),
        f"{name}.mlp.up_proj.weight": (mlp, width),
        f"{name}.mlp.down_proj.weight": (width, mlp),
        f"{name}.input_layernorm.weight": (width,),
        f"{name}.post_attention_layernorm.weight": (width,),
    }


def _linear(name: str, fan_in: int, fan_out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (fan_out, fan_in), f"{name}.bias": (fan_out,)}


def _draw(name: str, shape: tuple[int, ...], random: np.random.RandomState) -> npt.NDArray[Any]:
    if len(shape) == 1:
        mean = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        return (mean + 0.1 * random.standard_normal(shape)).astype(np.float32)
    scale = 0.3 if "embed" in name else float(np.prod(shape[1:])) ** -0.5
    return (scale * random.standard_normal(shape)).astype(np.float32)
