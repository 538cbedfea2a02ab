"""ACT's options."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from reflex_export.configs.family import Chunk, FamilyConfig, Layers, Size

__all__ = ["ActConfig", "Backbone"]

Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


class ActConfig(FamilyConfig):
    """A residual network for every camera, and a transformer."""

    chunk_size: Chunk
    vision_backbone: Backbone
    replace_final_stride_with_dilation: Literal[False, 0] = False
    pre_norm: bool
    dim_model: Size
    n_heads: Size
    dim_feedforward: Size
    feedforward_activation: Literal["relu", "gelu"]
    n_encoder_layers: Layers
    n_decoder_layers: Layers
    temporal_ensemble_coeff: float | None = None
    """Averages over past chunks, which no graph can; refused with that reason where the graphs are made."""

    @property
    def chunk(self) -> int:
        return self.chunk_size

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.dim_model % self.n_heads or self.dim_model % 2:
            raise ValueError(
                f"dim_model is {self.dim_model}, which {self.n_heads} n_heads and two axes of positions cannot share"
            )
        return self
