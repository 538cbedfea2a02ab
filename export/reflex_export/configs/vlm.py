"""What SmolVLA's graphs read of the config.json of its VLM; the VLM's other keys are its own business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import Field, model_validator

from reflex_export.configs.family import Options, Size
from reflex_export.configs.keys import parse
from reflex_export.errors import CheckpointError

__all__ = ["TextConfig", "VisionConfig", "VlmConfig", "parse_vlm_config"]

T = TypeVar("T", bound=Options)

PARTS: Final = ("text_config", "vision_config")
Heads = Annotated[int, Field(ge=1, le=1_024)]
Epsilon = Annotated[float, Field(gt=0, lt=1)]


class TextConfig(Options):
    """The language model."""

    hidden_size: Size
    num_attention_heads: Heads
    num_key_value_heads: Heads | None = None
    head_dim: Size | None = None
    rms_norm_eps: Epsilon = 1e-6
    attention_bias: Literal[False] = False
    mlp_bias: Literal[False] = False
    hidden_act: Literal["silu"] = "silu"

    @property
    def kv_heads(self) -> int:
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def head_width(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @model_validator(mode="after")
    def _heads_share_keys(self) -> Self:
        if self.num_attention_heads % self.kv_heads:
            raise ValueError(
                f"num_key_value_heads is {self.kv_heads}, which does not divide {self.num_attention_heads} heads"
            )
        if self.head_width % 2:
            raise ValueError(f"its heads are {self.head_width} wide, but rotation needs an even number")
        return self


class VisionConfig(Options):
    """The vision tower."""

    hidden_size: Size
    num_attention_heads: Heads = 16
    layer_norm_eps: Epsilon = 1e-6
    hidden_act: Literal["gelu_pytorch_tanh"] = "gelu_pytorch_tanh"


class _WholeConfig(Options):
    scale_factor: Annotated[int, Field(ge=1, le=64)] = 2
    image_token_id: Annotated[int, Field(ge=0)] | None = None


class VlmConfig(_WholeConfig):
    """The parts, and what lies beside them."""

    text: TextConfig
    vision: VisionConfig


def parse_vlm_config(written: Mapping[str, Any], origin: str) -> VlmConfig:
    """`CheckpointError` names the first key that is absent or wrong."""
    for part in PARTS:
        if not isinstance(written.get(part), dict):
            raise CheckpointError(f"{origin} (of the VLM) has no object {part}; give the VLM's own folder as --vlm")
    whole = parse(_WholeConfig, _declared(_WholeConfig, written), f"{origin} (of the VLM)", "a VLM")
    return VlmConfig(
        text=_part(TextConfig, written, "text_config", origin),
        vision=_part(VisionConfig, written, "vision_config", origin),
        **whole.model_dump(),
    )


def _part(kind: type[T], written: Mapping[str, Any], part: str, origin: str) -> T:
    return parse(kind, _declared(kind, written[part]), f"{origin} (of the VLM): {part}", "a VLM")


def _declared(kind: type[Options], written: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in written.items() if key in kind.model_fields}
