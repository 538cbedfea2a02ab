"""Diffusion Policy's options."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from reflex_export.configs.act import Backbone
from reflex_export.configs.family import MOST_STEPS, Chunk, FamilyConfig, Pair, Size, Steps

__all__ = ["DiffusionConfig"]

Beta = Annotated[float, Field(gt=0, lt=1)]


class DiffusionConfig(FamilyConfig):
    """A residual network for every camera, a U-Net and a noise schedule."""

    n_obs_steps: Annotated[int, Field(ge=1, le=100)]  # type: ignore[assignment]
    horizon: Chunk
    n_action_steps: Chunk
    vision_backbone: Backbone
    resize_shape: Pair | None = None
    crop_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    crop_shape: Pair | None = None
    use_group_norm: bool
    spatial_softmax_num_keypoints: Size
    down_dims: Annotated[tuple[Size, ...], Field(strict=False, min_length=1, max_length=10)]
    kernel_size: Annotated[int, Field(ge=1, le=99)]
    n_groups: Size
    diffusion_step_embed_dim: Annotated[int, Field(ge=4, le=65_536, multiple_of=2)]
    use_film_scale_modulation: bool
    noise_scheduler_type: Literal["DDPM", "DDIM"]
    num_train_timesteps: Annotated[int, Field(ge=1, le=100_000)]
    beta_schedule: Literal["squaredcos_cap_v2", "linear", "scaled_linear"]
    beta_start: Beta
    beta_end: Beta
    prediction_type: Literal["epsilon", "sample"]
    clip_sample: bool
    clip_sample_range: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    num_inference_steps: Steps | None = None

    @property
    def chunk(self) -> int:
        """The trajectory begins at the oldest observation; what is before the newest is past."""
        return self.horizon - self.n_obs_steps + 1

    @property
    def default_steps(self) -> int:
        return self.num_inference_steps or self.num_train_timesteps

    @model_validator(mode="after")
    def _fits_its_network(self) -> Self:
        halvings = 2 ** (len(self.down_dims) - 1)
        if self.horizon % halvings:
            raise ValueError(f"horizon is {self.horizon}, but must be divisible by {halvings} (down_dims)")
        uneven = [width for width in self.down_dims if width % self.n_groups]
        if uneven:
            raise ValueError(f"down_dims has {uneven[0]}, which n_groups = {self.n_groups} does not divide")
        if self.default_steps > MOST_STEPS:
            raise ValueError(f"num_inference_steps must be given, {MOST_STEPS:,} at most: it was trained with more")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {self.kernel_size}, but must be odd")
        return self
