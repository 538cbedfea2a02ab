"""How large a random checkpoint is, and which of its family's options it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["PiSizes", "Sizes", "SmolVlaSizes"]

Storage = Literal["float32", "float16", "bfloat16", "mixed"]
"""`mixed` is what the published files of each family have: bfloat16 with islands of float32."""


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
