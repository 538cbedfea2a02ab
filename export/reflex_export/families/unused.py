"""Every tensor of the weights is read by a graph, known to be training's, or named in the refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy.typing as npt

from reflex_export.checkpoint import Checkpoint, Family, TensorSource
from reflex_export.errors import UnsupportedOptionError
from reflex_export.reading.tensors import refuse_integers

__all__ = ["NoticedTensors", "require_all_used"]

_LAST_LAYER: Final = r"layers\.\d+\.(mlp\.(gate|up|down)_proj|post_attention_layernorm|self_attn\.[qo]_proj)\.weight"
"""A prefix's last layer gives keys and values only; that no other layer lacks these, the shapes' check knows."""
_PALIGEMMA: Final = (
    r"paligemma_with_expert\.(paligemma|gemma_expert)\.lm_head\.weight"
    rf"|paligemma_with_expert\.paligemma\.model\.language_model\.(norm\.weight|{_LAST_LAYER})"
    r"|paligemma_with_expert\.gemma_expert\.model\.embed_tokens\.weight"
)
_ANY: Final = r"(un)?normalize_(inputs|targets|outputs)\..*|.*\.num_batches_tracked"
"""Statistics of lerobot before 0.4, and what batch normalisation counts."""
NOT_READ: Final[Mapping[Family, str]] = {
    "act": r"vae_encoder.*|encoder_latent_input_proj\.weight",
    "diffusion": r"noise_scheduler\..*",
    "pi0": _PALIGEMMA,
    "pi05": rf"{_PALIGEMMA}|state_proj\.(weight|bias)",
    "smolvla": (
        r"vlm_with_expert\.(vlm|lm_expert)\.lm_head\.weight|vlm_with_expert\.lm_expert\.embed_tokens\.weight"
        rf"|vlm_with_expert\.vlm\.model\.text_model\.(norm\.weight|{_LAST_LAYER})"
    ),
}
"""Patterns of whole names, without the `model.` that files may put before them."""
_CUT_LAYER: Final = re.compile(r"vlm_with_expert\.vlm\.model\.text_model\.layers\.(\d+)\..*")
SHOWN: Final = 3


class NoticedTensors:
    """A `TensorSource` that knows which tensors were asked for."""

    def __init__(self, tensors: TensorSource) -> None:
        self._tensors = tensors
        self.used: set[str] = set()

    def names(self) -> frozenset[str]:
        return self._tensors.names()

    def shape(self, name: str) -> tuple[int, ...]:
        self.used.add(name)
        return self._tensors.shape(name)

    def load(self, name: str) -> npt.NDArray[Any]:
        self.used.add(name)
        stored = self._tensors.load(name)
        refuse_integers(name, stored)
        return stored


def require_all_used(checkpoint: Checkpoint, used: set[str]) -> None:
    """`UnsupportedOptionError` names tensors that were trained and that no graph reads."""
    left = sorted(name for name in checkpoint.tensors.names() - used if not _is_not_read(checkpoint, name))
    if left:
        shown = ", ".join(left[:SHOWN]) + (f" and {len(left) - SHOWN} more" if len(left) > SHOWN else "")
        raise UnsupportedOptionError(
            f"the weights have {shown}, which no graph of a {checkpoint.family} policy reads: it was trained with "
            "something that export does not know, and leaving that out may change its actions. Merge or remove it "
            "where the policy was trained, and save it again"
        )


def _is_not_read(checkpoint: Checkpoint, name: str) -> bool:
    bare = name.removeprefix("model.")
    if re.fullmatch(f"{NOT_READ[checkpoint.family]}|{_ANY}", bare):
        return True
    cut, layers = _CUT_LAYER.fullmatch(bare), getattr(checkpoint.config, "num_vlm_layers", 0)
    return cut is not None and 0 < layers <= int(cut[1])
