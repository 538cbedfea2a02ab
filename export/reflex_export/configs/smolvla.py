"""SmolVLA's options."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from reflex_export.configs.family import Chunk, FamilyConfig, MaxTokens, Pair, Size, Steps
from reflex_export.configs.pi import Period

__all__ = ["SmolVlaConfig"]

LayerCount = Annotated[int, Field(ge=-1, le=1_000)]
"""Under 1: as many as there are."""


class SmolVlaConfig(FamilyConfig):
    """A SmolVLM and an action expert."""

    chunk_size: Chunk
    max_state_dim: Size
    max_action_dim: Size
    num_steps: Steps = 10
    resize_imgs_with_padding: Pair
    """Width and height: the other way round than elsewhere."""
    tokenizer_max_length: MaxTokens | None = None
    """The processor files say it as well, and theirs counts."""
    empty_cameras: Annotated[int, Field(ge=0, le=16)] = 0
    adapt_to_pi_aloha: bool = False
    vlm_model_name: Annotated[str, Field(min_length=1)]
    add_image_special_tokens: bool = False
    attention_mode: Literal["cross_attn", "self_attn"] = "cross_attn"
    num_vlm_layers: LayerCount
    num_expert_layers: LayerCount = 0
    self_attn_every_n_layers: Annotated[int, Field(ge=-1, le=1_000)]
    expert_width_multiplier: Annotated[float, Field(gt=0, le=16)]
    min_period: Period = 4e-3
    max_period: Period = 4.0

    @property
    def chunk(self) -> int:
        return self.chunk_size

    @property
    def default_steps(self) -> int:
        return self.num_steps

    @model_validator(mode="after")
    def _periods_are_in_order(self) -> Self:
        if self.min_period >= self.max_period:
            raise ValueError(f"min_period is {self.min_period}, not less than max_period, {self.max_period}")
        return self
