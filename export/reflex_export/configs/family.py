"""What the configs of all families have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "LONGEST_CHUNK",
    "LONGEST_PROMPT",
    "LONGEST_SIDE",
    "MOST_STEPS",
    "Chunk",
    "Family",
    "FamilyConfig",
    "Layers",
    "MaxTokens",
    "Options",
    "Pair",
    "Side",
    "Size",
    "Steps",
]

Family = Literal["smolvla", "pi0", "pi05", "act", "diffusion"]
LONGEST_CHUNK: Final = 2_000
"""Forty seconds at 50 Hz; graphs hold tables of its square."""
LONGEST_SIDE: Final = 8_192
LONGEST_PROMPT: Final = 16_384
"""In tokens."""
MOST_STEPS: Final = 1_000

Size = Annotated[int, Field(ge=1, le=65_536)]
Layers = Annotated[int, Field(ge=1, le=1_000)]
Chunk = Annotated[int, Field(ge=1, le=LONGEST_CHUNK)]
Steps = Annotated[int, Field(ge=1, le=MOST_STEPS)]
"""Of denoising: as many as `--steps` takes."""
MaxTokens = Annotated[int, Field(ge=1, le=LONGEST_PROMPT)]
Side = Annotated[int, Field(ge=1, le=LONGEST_SIDE)]
"""Of an image, in pixels."""
Pair = Annotated[tuple[Side, Side], Field(strict=False)]
"""Two sides of an image; JSON has lists only."""


class Options(BaseModel):
    """Values of one JSON object: typed strictly, finite, and none that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class FamilyConfig(Options):
    """The options that every family has."""

    n_obs_steps: Literal[1] = 1
    n_action_steps: Chunk | None = None
    """Of a chunk's actions, how many are executed before the next is asked for; absent: all."""
    use_delta_joint_actions_aloha: Literal[False] = False
    """Unfinished in lerobot as well."""

    @property
    def default_steps(self) -> int:
        """How many denoising steps the checkpoint asks for; 1 for a family without a loop."""
        return 1

    @property
    @abstractmethod
    def chunk(self) -> int:
        """How many actions one inference gives."""

    @model_validator(mode="after")
    def _executes_no_more_than_it_predicts(self) -> Self:
        if self.n_action_steps is not None and self.n_action_steps > self.chunk:
            raise ValueError(f"n_action_steps is {self.n_action_steps}, more than the {self.chunk} actions of a chunk")
        return self
