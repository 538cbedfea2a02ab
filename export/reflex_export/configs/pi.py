"""The options of pi0 and pi0.5."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from reflex_export.configs.family import Pair, Steps
from reflex_export.configs.vla import VlaConfig

__all__ = ["Pi0Config", "Pi05Config", "PiConfig"]

DEFAULT_STEPS: Final = 10
Placement = Literal["centred", "bottom_right"]


class PiConfig(VlaConfig):
    """A PaliGemma and an action expert."""

    num_inference_steps: Steps | None = None
    image_resolution: Pair | None = None
    """Height and width."""
    use_relative_actions: bool = False
    relative_exclude_joints: Annotated[tuple[str, ...], Field(strict=False)] = ()
    action_feature_names: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    rtc_training_max_delay: Annotated[int, Field(ge=0, le=1_000)] = 0
    use_visual_memory: Literal[False] = False
    use_proprioceptive_memory: Literal[False] = False
    adapt_to_pi_aloha: Literal[False] = False

    @property
    def default_steps(self) -> int:
        return self.num_inference_steps or DEFAULT_STEPS

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the frame that every picture is fitted into."""
        if self.image_resolution is None:
            raise ValueError("image_resolution is absent")
        return self.image_resolution

    @property
    def picture_place(self) -> Placement:
        """Where the picture lies in its frame."""
        return "centred"

    @model_validator(mode="after")
    def _has_a_frame(self) -> Self:
        self.image_size  # noqa: B018 - it says what is absent
        return self


class Pi0Config(PiConfig):
    """lerobot 0.3 had other names for two options, and laid the picture into the corner of its frame."""

    resize_imgs_with_padding: Pair | None = None
    """Width and height: the other way round than image_resolution."""
    num_steps: Steps | None = None

    @property
    def default_steps(self) -> int:
        return self.num_inference_steps or self.num_steps or DEFAULT_STEPS

    @property
    def image_size(self) -> tuple[int, int]:
        if self.resize_imgs_with_padding is None:
            return super().image_size
        width, height = self.resize_imgs_with_padding
        return height, width

    @property
    def picture_place(self) -> Placement:
        return "centred" if self.resize_imgs_with_padding is None else "bottom_right"

    @model_validator(mode="after")
    def _is_of_one_lerobot(self) -> Self:
        pairs = (("resize_imgs_with_padding", "image_resolution"), ("num_steps", "num_inference_steps"))
        for old, new in pairs:
            if getattr(self, old) is not None and getattr(self, new) is not None:
                raise ValueError(f"it has {new} and {old}, its name in lerobot 0.3; leave the one that is wrong out")
        return self


class Pi05Config(PiConfig):
    """No option of its own."""
