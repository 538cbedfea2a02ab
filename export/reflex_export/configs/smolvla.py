"""SmolVLA's options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reflex_export.configs.family import Pair, Steps
from reflex_export.configs.vla import VlaConfig

__all__ = ["SmolVlaConfig"]

LayerCount = Annotated[int, Field(ge=-1, le=1_000)]
"""Under 1: as many as there are."""


class SmolVlaConfig(VlaConfig):
    """A SmolVLM and an action expert."""

    num_steps: Steps = 10
    resize_imgs_with_padding: Pair
    """Width and height: the other way round than elsewhere."""
    adapt_to_pi_aloha: bool = False
    vlm_model_name: Annotated[str, Field(min_length=1)]
    add_image_special_tokens: bool = False
    attention_mode: Literal["cross_attn", "self_attn"] = "cross_attn"
    num_vlm_layers: LayerCount
    num_expert_layers: LayerCount = 0
    self_attn_every_n_layers: Annotated[int, Field(ge=-1, le=1_000)]
    expert_width_multiplier: Annotated[float, Field(gt=0, le=16)]

    @property
    def default_steps(self) -> int:
        return self.num_steps
