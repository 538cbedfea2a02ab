"""SmolVLA's numbers, read from config, the VLM's config and the tensors' shapes; what the graphs cannot do is refused.

Published checkpoints say little about themselves: heads, norm epsilons and the pixel shuffle's factor are only in the
config.json of the VLM that they were made from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tokenizers import Tokenizer

from reflex_export.blocks.aloha import ALOHA_AXES
from reflex_export.blocks.vision import VisionTower, count_layers
from reflex_export.checkpoint import Checkpoint, Text
from reflex_export.configs.smolvla import SmolVlaConfig
from reflex_export.configs.vlm import VlmConfig
from reflex_export.errors import (
    CheckpointError,
    MissingTensorError,
    TensorShapeError,
    TokenizerError,
    UnsupportedOptionError,
)
from reflex_export.families.common import config_of

__all__ = ["ExpertLayer", "SmolVlaSizes", "read_sizes"]

_FAKE_IMAGE: Final = "<fake_token_around_image>"
_GLOBAL_IMAGE: Final = "<global-img>"


@dataclass(frozen=True)
class ExpertLayer:
    """A layer of the action expert and the VLM layer whose keys and values it reads."""

    name: str
    vlm_layer: int
    is_self_attention: bool
    """The actions see the prefix and one another; otherwise the prefix only, through projections of its cache."""


@dataclass(frozen=True)
class SmolVlaSizes:
    """Everything that the graphs of one checkpoint need to know beside its weights."""

    root: str
    """What every tensor's name starts with, `model.` or nothing."""
    cameras: tuple[str, ...]
    image_size: tuple[int, int]
    """(height, width) of the tower's input."""
    tower: VisionTower
    shuffle: int
    """So many patches each way become one image token."""
    max_tokens: int
    special_tokens: tuple[int, int] | None
    """(fake, global), when image tokens stand between special ones."""
    absent_slots: int
    """Absent cameras of which the special tokens stay in the prefix."""
    empty_cameras: int
    """Cameras in the config that no client ever sends."""
    state_dim: int
    max_state_dim: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float
    expert: tuple[ExpertLayer, ...]
    expert_width: int
    horizon: int
    max_action_dim: int
    action_dim: int
    min_period: float
    max_period: float
    is_aloha: bool

    @property
    def vlm(self) -> str:
        return f"{self.root}vlm_with_expert.vlm.model"

    @property
    def expert_root(self) -> str:
        return f"{self.root}vlm_with_expert.lm_expert"

    @property
    def image_tokens(self) -> int:
        """Of one camera, without special ones."""
        return self.tower.patches // self.shuffle**2

    @property
    def prefix_tokens(self) -> int:
        """Images, special tokens, instruction, state: valid or not, always this many."""
        special = 3 * (len(self.cameras) + self.absent_slots) if self.special_tokens else 0
        return len(self.cameras) * self.image_tokens + special + self.max_tokens + 1

    @property
    def cache_shape(self) -> tuple[int, int, int, int]:
        """Of the prefix's keys, and of its values: only VLM layers that an expert layer reads."""
        return (len(self.expert), self.kv_heads, self.prefix_tokens, self.head_dim)


def read_sizes(checkpoint: Checkpoint) -> SmolVlaSizes:
    """`CheckpointError` names what is missing, contradictory or not supported."""
    config, tensors = config_of(checkpoint, SmolVlaConfig), checkpoint.tensors
    vlm = _vlm_config(checkpoint, config)
    text = vlm.text
    _refuse_unsupported(checkpoint, config)
    root = _root(checkpoint)
    width, height = config.resize_imgs_with_padding
    tower = VisionTower.of(
        tensors,
        f"{root}vlm_with_expert.vlm.model.vision_model",
        heads=vlm.vision.num_attention_heads,
        epsilon=vlm.vision.layer_norm_eps,
        image_size=(height, width),
    )
    expert_width, max_action_dim = tensors.shape(f"{root}action_in_proj.weight")
    sizes = SmolVlaSizes(
        root=root,
        cameras=tuple(camera.name for camera in checkpoint.cameras if not camera.is_empty),
        image_size=(height, width),
        tower=tower,
        shuffle=vlm.scale_factor,
        max_tokens=_text(checkpoint).max_tokens,
        special_tokens=_special_tokens(checkpoint) if config.add_image_special_tokens else None,
        absent_slots=_absent_slots(checkpoint, config),
        empty_cameras=sum(camera.is_empty for camera in checkpoint.cameras),
        state_dim=checkpoint.state_dim,
        max_state_dim=tensors.shape(f"{root}state_proj.weight")[1],
        width=text.hidden_size,
        heads=text.num_attention_heads,
        kv_heads=text.kv_heads,
        head_dim=text.head_width,
        epsilon=text.rms_norm_eps,
        expert=_expert_layers(checkpoint, config, root),
        expert_width=expert_width,
        horizon=config.chunk_size,
        max_action_dim=max_action_dim,
        action_dim=checkpoint.action_dim,
        min_period=config.min_period,
        max_period=config.max_period,
        is_aloha=config.adapt_to_pi_aloha,
    )
    _check_shapes(checkpoint, sizes)
    return sizes


def _vlm_config(checkpoint: Checkpoint, config: SmolVlaConfig) -> VlmConfig:
    if checkpoint.vlm_config is None:
        raise CheckpointError(
            f"the config.json of the VLM {config.vlm_model_name!r} is needed for its head counts: "
            "give a folder that holds it as --vlm"
        )
    return checkpoint.vlm_config


def _text(checkpoint: Checkpoint) -> Text:
    if checkpoint.text is None:
        raise TokenizerError("a SmolVLA checkpoint needs its VLM's tokenizer: give a folder that holds it as --vlm")
    return checkpoint.text


def _root(checkpoint: Checkpoint) -> str:
    suffix = "action_in_proj.weight"
    for name in checkpoint.tensors.names():
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    raise MissingTensorError(f"the checkpoint has no tensor model.{suffix}: is it a whole SmolVLA policy?")


def _refuse_unsupported(checkpoint: Checkpoint, config: SmolVlaConfig) -> None:
    refused = {
        "use_relative_actions": checkpoint.relative_actions is not None,
        "normalization_mapping.VISUAL": any(
            normalizer.mode != "IDENTITY" and normalizer.statistics for normalizer in checkpoint.images.values()
        ),
        "adapt_to_pi_aloha": config.adapt_to_pi_aloha and min(checkpoint.state_dim, checkpoint.action_dim) < ALOHA_AXES,
    }
    for option, is_refused in refused.items():
        if is_refused:
            raise UnsupportedOptionError(
                f"SmolVLA with this value of {option} is not supported: export a checkpoint trained without it"
            )


def _special_tokens(checkpoint: Checkpoint) -> tuple[int, int]:
    tokenizer = Tokenizer.from_str(_text(checkpoint).tokenizer_json)
    fake, whole = tokenizer.token_to_id(_FAKE_IMAGE), tokenizer.token_to_id(_GLOBAL_IMAGE)
    if fake is None or whole is None:
        raise TokenizerError(
            f"add_image_special_tokens needs {_FAKE_IMAGE} and {_GLOBAL_IMAGE}, which this tokenizer lacks: "
            "give the VLM's own tokenizer"
        )
    return fake, whole


def _absent_slots(checkpoint: Checkpoint, config: SmolVlaConfig) -> int:
    """Of absent cameras, at most `empty_cameras` stay in the prefix: only their special tokens are visible."""
    return min(config.empty_cameras, len(checkpoint.cameras)) if config.add_image_special_tokens else 0


def _expert_layers(checkpoint: Checkpoint, config: SmolVlaConfig, root: str) -> tuple[ExpertLayer, ...]:
    """An expert with fewer layers than the VLM has one for every k-th of the VLM's."""
    tensors = checkpoint.tensors
    name = f"{root}vlm_with_expert.lm_expert.layers"
    vlm_layers = count_layers(tensors, f"{root}vlm_with_expert.vlm.model.text_model.layers")
    vlm_layers = min(vlm_layers, config.num_vlm_layers) if config.num_vlm_layers > 0 else vlm_layers
    count = config.num_expert_layers if config.num_expert_layers > 0 else vlm_layers
    if count == 0 or vlm_layers % count:
        raise UnsupportedOptionError(f"num_expert_layers {count} does not divide the VLM's {vlm_layers} layers")
    every, is_crossed = config.self_attn_every_n_layers, config.attention_mode == "cross_attn"
    stride = vlm_layers // count
    return tuple(
        ExpertLayer(f"{name}.{index}", index * stride, not is_crossed or (every > 0 and index * stride % every == 0))
        for index in range(count)
    )


def _check_shapes(checkpoint: Checkpoint, s: SmolVlaSizes) -> None:
    """The few shapes that decide how everything else is read."""
    side = math.isqrt(s.tower.patches)
    if side**2 != s.tower.patches or side % s.shuffle:
        raise TensorShapeError(
            f"{s.tower.grid} patches are no square that the pixel shuffle's factor {s.shuffle} divides: "
            "check resize_imgs_with_padding and the VLM's scale_factor"
        )
    inner, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    expected = {
        f"{s.vlm}.connector.modality_projection.proj.weight": (s.width, s.tower.width * s.shuffle**2),
        f"{s.vlm}.text_model.layers.0.self_attn.q_proj.weight": (inner, s.width),
        f"{s.vlm}.text_model.layers.0.self_attn.k_proj.weight": (kv, s.width),
        f"{s.root}state_proj.weight": (s.width, s.max_state_dim),
        f"{s.root}action_out_proj.weight": (s.max_action_dim, s.expert_width),
        f"{s.root}action_time_mlp_in.weight": (s.expert_width, 2 * s.expert_width),
    }
    for layer in s.expert:
        source = s.expert_width if layer.is_self_attention else kv
        expected[f"{layer.name}.self_attn.q_proj.weight"] = (inner, s.expert_width)
        expected[f"{layer.name}.self_attn.k_proj.weight"] = (kv, source)
        expected[f"{layer.name}.self_attn.v_proj.weight"] = (kv, source)
    for name, shape in expected.items():
        if checkpoint.tensors.shape(name) != shape:
            found = checkpoint.tensors.shape(name)
            raise TensorShapeError(
                f"{name} has the shape {found}, the configs of policy and VLM say {shape}: is --vlm another VLM?"
            )
    if s.state_dim > s.max_state_dim or s.action_dim > s.max_action_dim:
        raise TensorShapeError(
            f"state ({s.state_dim}) or action ({s.action_dim}) is longer than the checkpoint's projections take "
            f"({s.max_state_dim} and {s.max_action_dim})"
        )
