"""What a correction head says of itself, in the JSON file beside its tensors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["HeadDescription", "TrainingRecord"]

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(allow_inf_nan=False)]
Magnitude = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Hash = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrainingRecord(_Strict):
    """How a head was trained, and what it is good for on episodes that it was not trained on."""

    episodes: Positive
    samples: Positive
    held_out_samples: Positive
    epochs: Positive
    seed: Annotated[int, Field(ge=0)]
    error_before: tuple[Magnitude, ...]
    """RMS of each axis in robot units: the stale action against what the policy says of that moment later."""
    error_after: tuple[Magnitude, ...]
    error_removed: Annotated[Share, Field(le=1)]
    """Of the error of all axes, each in its own spread; negative where the head makes it larger."""


class HeadDescription(_Strict):
    """Everything but the numbers."""

    schema_version: Literal[1]
    kind: Literal["a2c2"]
    weights_hash: Hash
    """Of the file of tensors, so that two files of different heads are never taken for one."""
    policy_id: Annotated[str, Field(min_length=1)]
    policy_hash: Annotated[str, Field(min_length=1)]
    """Of the policy whose chunks it was trained on."""
    state_dim: Positive
    action_names: Annotated[tuple[str, ...], Field(min_length=1)]
    control_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """What a step is in time."""
    hidden: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=4)]
    """Width of each hidden layer."""
    max_lead_steps: Positive
    """From the newest state to an action: so far it was trained; beyond, the correction is that of this lead."""
    max_age_steps: Annotated[int, Field(ge=0)]
    """From the observation of a chunk to the newest state, likewise."""
    largest: tuple[Magnitude, ...]
    """Of each axis' correction, robot units: what training has seen."""
    training: TrainingRecord | None = None
    """None: it was never trained."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> HeadDescription:
        axes = [self.largest]
        if self.training is not None:
            axes += [self.training.error_before, self.training.error_after]
        if any(len(values) != self.action_dim for values in axes):
            raise ValueError(f"there must be one number for each of the {self.action_dim} axes")
        return self

    @property
    def action_dim(self) -> int:
        return len(self.action_names)
