"""What a chunk costs at least: bytes over the card's bandwidth or operations over its rate, whichever takes longer.

Counted over the matrix products and the attention of the published sizes; norms, activations and rotations are left
out, so nothing can be faster. The encoder reads its weights once and its last layer makes keys and values alone; the
denoise reads its weights, and the prefix's keys and values, once for each step. A product of [n, k] with [k, m] is
2 n k m operations; attention of n queries over m keys is 4 n m times the width of all heads (scores, and values).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["KNOWN_CARDS", "SIZES", "Bound", "Ceilings", "Load", "Sizes", "Stack", "load_of", "lower_bound"]

HALF_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Of a card."""

    bytes_per_s: float
    """Of its memory, read and written together."""
    flop_per_s: float
    """Of FP16 products without sparsity, summed in FP32."""


KNOWN_CARDS: Final[Mapping[str, Ceilings]] = {
    "H200": Ceilings(4.8e12, 989e12),
    "H100": Ceilings(3.35e12, 989e12),
    "RTX 4090": Ceilings(1.008e12, 165.2e12),
}
"""As their makers state them; measured ceilings are lower (docs/gpu.md)."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Transformer layers of one width."""

    layers: int
    width: int
    hidden: int
    """Of the MLP."""
    queries: int
    """Width of all query heads together."""
    keys: int
    """Width of all key heads, and of all value heads."""
    is_gated: bool = True

    @property
    def attention_parameters(self) -> int:
        return self.width * (2 * self.queries + 2 * self.keys)

    @property
    def parameters(self) -> int:
        """Of one layer."""
        return self.attention_parameters + (3 if self.is_gated else 2) * self.width * self.hidden

    def flop(self, tokens: int, over: int) -> int:
        """Of one layer, where each of the tokens attends to `over`."""
        return 2 * tokens * self.parameters + 4 * tokens * over * self.queries


@dataclass(frozen=True, slots=True)
class Sizes:
    """A published policy."""

    vision: Stack
    patches: int
    """Of one camera."""
    camera_tokens: int
    """Of one camera in the prefix."""
    projector: int
    """Parameters between the two; each is used once for each camera token."""
    prefix: Stack
    prompt: int
    """Tokens of a prompt that is padded to its longest, and what else stands in the prefix."""
    expert: Stack
    suffix: int
    horizon: int = 50


def _paligemma(prompt: int, suffix: int) -> Sizes:
    vision = Stack(27, 1152, 4304, 1152, 1152, is_gated=False)
    prefix, expert = Stack(18, 2048, 16384, 2048, 256), Stack(18, 1024, 4096, 2048, 256)
    return Sizes(vision, 256, 256, 1152 * 2048, prefix, prompt, expert, suffix)


SIZES: Final[Mapping[str, Sizes]] = {
    "pi0": _paligemma(prompt=48, suffix=51),
    "pi05": _paligemma(prompt=200, suffix=50),
    "smolvla": Sizes(
        vision=Stack(12, 768, 3072, 768, 768, is_gated=False),
        patches=1024,
        camera_tokens=64,
        projector=12288 * 960,
        prefix=Stack(16, 960, 2560, 960, 320),
        prompt=49,
        expert=Stack(16, 720, 2048, 960, 320),
        suffix=50,
    ),
}


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a graph must read, and compute."""

    bytes: float
    flop: float

    def seconds(self, ceilings: Ceilings) -> float:
        return max(self.bytes / ceilings.bytes_per_s, self.flop / ceilings.flop_per_s)


@dataclass(frozen=True, slots=True)
class Bound:
    """Milliseconds."""

    encoder_ms: float
    denoise_ms: float

    @property
    def together_ms(self) -> float:
        return self.encoder_ms + self.denoise_ms


def lower_bound(
    sizes: Sizes, ceilings: Ceilings, *, cameras: int, batch: int = 1, steps: int = 10, prompt: int | None = None
) -> Bound:
    """Of one chunk of each of `batch` robots; `prompt` where fewer tokens than the longest count."""
    encoder, denoise = load_of(sizes, cameras=cameras, batch=batch, steps=steps, prompt=prompt)
    return Bound(1e3 * encoder.seconds(ceilings), 1e3 * denoise.seconds(ceilings))


def load_of(
    sizes: Sizes, *, cameras: int, batch: int = 1, steps: int = 10, prompt: int | None = None
) -> tuple[Load, Load]:
    """Of the encoder and the denoise, in FP16."""
    tokens = cameras * sizes.camera_tokens + (sizes.prompt if prompt is None else prompt)
    return _encoder(sizes, cameras, tokens, batch), _denoise(sizes, tokens, batch, steps)


def _encoder(sizes: Sizes, cameras: int, tokens: int, batch: int) -> Load:
    vision, prefix = sizes.vision, sizes.prefix
    whole, last = prefix.layers - 1, 2 * prefix.width * prefix.keys
    parameters = vision.layers * vision.parameters + sizes.projector + whole * prefix.parameters + last
    of_images = vision.layers * vision.flop(sizes.patches, sizes.patches) + 2 * sizes.camera_tokens * sizes.projector
    of_prefix = whole * prefix.flop(tokens, tokens) + 2 * tokens * last
    return Load(HALF_BYTES * parameters, batch * (cameras * of_images + of_prefix))


def _denoise(sizes: Sizes, tokens: int, batch: int, steps: int) -> Load:
    expert = sizes.expert
    cached = 2 * tokens * sizes.prefix.keys * sizes.prefix.layers
    read = HALF_BYTES * (expert.layers * expert.parameters + batch * cached)
    flop = batch * expert.layers * expert.flop(sizes.suffix, tokens + sizes.suffix)
    return Load(steps * read, steps * flop)
