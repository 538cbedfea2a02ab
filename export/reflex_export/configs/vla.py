"""The options that vision-language-action policies have in common."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from reflex_export.configs.family import Chunk, FamilyConfig, MaxTokens, Size

__all__ = ["VlaConfig"]

Period = Annotated[float, Field(gt=0, le=1e6)]


class VlaConfig(FamilyConfig):
    """A vision-language model, and an action expert that denoises a chunk by flow matching."""

    chunk_size: Chunk
    max_state_dim: Size
    max_action_dim: Size
    tokenizer_max_length: MaxTokens | None = None
    """The processor files say it as well, and theirs counts."""
    empty_cameras: Annotated[int, Field(ge=0, le=16)] = 0
    min_period: Period = 4e-3
    max_period: Period = 4.0

    @property
    def chunk(self) -> int:
        return self.chunk_size

    @model_validator(mode="after")
    def _periods_are_in_order(self) -> Self:
        if self.min_period >= self.max_period:
            raise ValueError(f"min_period is {self.min_period}, not less than max_period, {self.max_period}")
        return self
