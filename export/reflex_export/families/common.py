"""What every family's module hands back: the three components of a policy as graphs.

Each `families.<family>` has `build(checkpoint, *, steps, precision="fp32", taps=False) -> FamilyGraphs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reflex_export.graph import FloatType, OnnxModel

__all__ = ["FamilyGraphs", "Precision", "compute_type"]

Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class FamilyGraphs:
    """Tensors are wired by name from one component to the next; shapes leave the batch axis out."""

    preprocess: OnnxModel
    """image.<camera> UINT8 [-1, -1, 3] for each camera that a client sends -> pixels.<camera> FP32 [3, H, W]."""
    encoder: OnnxModel
    """pixels.*, camera_mask BOOL (the same cameras), state FP32 (robot units), tokens, token_mask -> prefix tensors."""
    denoise: Mapping[int, OnnxModel]
    """By step count: prefix tensors, noise -> actions (robot units), actions_normalized, both FP32 [T, action_dim]."""


def compute_type(precision: Precision) -> FloatType:
    """What a graph of this precision multiplies matrices in."""
    return "FP16" if precision == "fp16" else "FP32"
