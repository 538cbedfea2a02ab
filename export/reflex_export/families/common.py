"""What every family's module hands back: the three components of a policy as graphs.

Each `families.<family>` has `build(checkpoint, *, steps, precision="fp32", taps=False) -> FamilyGraphs`; `precision` is
an `Arithmetic`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from reflex.export_options import Precision
from reflex.policy_config import PolicyConfig
from reflex_export.checkpoint import Checkpoint
from reflex_export.configs import FamilyConfig
from reflex_export.graph.graph import FloatType, GraphBuilder, OnnxModel

__all__ = [
    "ARITHMETICS",
    "Arithmetic",
    "FamilyGraphs",
    "Precision",
    "arithmetic_of",
    "arithmetics_of",
    "config_of",
    "empty_graph",
]

T = TypeVar("T", bound=FamilyConfig)

Arithmetic = Literal["fp32", "fp16", "fp16_mlp"]
"""What the matrix products are computed in. `fp16` keeps only what is cheap in FP32 (docs/adr/0010); `fp16_mlp` keeps
whole attention blocks, their cache and the word embeddings, so that the MLPs are what is left of FP16. A family without
attention has no difference between the two."""
ARITHMETICS: Final[Mapping[Precision, tuple[Arithmetic, ...]]] = {"fp32": ("fp32",), "fp16": ("fp16", "fp16_mlp")}
"""Where what meets the gate of a precision is looked for, the fastest first and the safest last."""
WITHOUT_ATTENTION: Final = frozenset({"diffusion"})


@dataclass(frozen=True)
class FamilyGraphs:
    """Tensors are wired by name from one component to the next; shapes leave the batch axis out."""

    preprocess: OnnxModel
    """image.<camera> UINT8 [-1, -1, 3] for each camera that a client sends -> pixels.<camera> FP32 [3, H, W]."""
    encoder: OnnxModel
    """pixels.*, camera_mask BOOL (the same cameras), state FP32 (robot units), tokens, token_mask -> prefix tensors."""
    denoise: Mapping[int, OnnxModel]
    """By step count: prefix tensors, noise -> actions (robot units), actions_normalized, both FP32 [T, action_dim].

    Flow matching adds velocity_change FP32 [steps].
    """
    counted: Callable[[int], OnnxModel | None] | None = None
    """Of a step count, the same for ONNX Runtime on CUDA, where a number of valid keys is faster than a mask of them.

    None for a family without padding, and of a step count of which no step could do without its mask.
    """


def arithmetics_of(family: str, precision: Precision) -> tuple[Arithmetic, ...]:
    """Those of a precision that make different graphs of this family."""
    several = ARITHMETICS[precision]
    return several[:1] if family in WITHOUT_ATTENTION else several


def arithmetic_of(config: PolicyConfig) -> Arithmetic:
    """What the graphs were made in. The parity record has it; without one it can only be told from the precision."""
    recorded = (config.parity or {}).get("arithmetic")
    known: dict[str, Arithmetic] = {one: one for several in ARITHMETICS.values() for one in several}
    return known.get(str(recorded), "fp32" if config.precision == "fp32" else "fp16")


def config_of(checkpoint: Checkpoint, kind: type[T]) -> T:
    """The options of a checkpoint whose family is known."""
    if not isinstance(checkpoint.config, kind):
        raise TypeError(f"a {checkpoint.family} checkpoint has {type(checkpoint.config).__name__}, not {kind.__name__}")
    return checkpoint.config


def empty_graph(name: str, checkpoint: Checkpoint, arithmetic: Arithmetic) -> GraphBuilder:
    """A graph over the checkpoint's tensors, without any operator yet."""
    if arithmetic == "fp32":
        return GraphBuilder(name, checkpoint.tensors)
    attention: FloatType = "FP32" if arithmetic == "fp16_mlp" else "FP16"
    return GraphBuilder(name, checkpoint.tensors, compute="FP16", attention=attention)
