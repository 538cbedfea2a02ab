"""The numbers that fix a policy's shape; nothing else in the builders is hard-coded."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Architecture"]


@dataclass(frozen=True)
class Architecture:
    """A vision tower and a language model whose keys and values an action expert of the same depth attends to."""

    cameras: tuple[str, ...]
    image_size: int
    patch_size: int
    vision_width: int
    vision_heads: int
    vision_layers: int
    vision_mlp: int
    vocabulary: int
    max_tokens: int
    state_dim: int
    width: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    expert_width: int
    expert_mlp: int
    noise_dim: int
    horizon: int
    denoising_steps: int
    min_period: float
    max_period: float

    @property
    def patches(self) -> int:
        """Tokens of one camera."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def prefix_tokens(self) -> int:
        """Images, instruction, state: valid or not, always this many, so that requests can be batched."""
        return len(self.cameras) * self.patches + self.max_tokens + 1

    @property
    def heads_per_group(self) -> int:
        """Query heads that share one key/value head."""
        return self.heads // self.kv_heads

    @property
    def cache_shape(self) -> tuple[int, int, int, int]:
        """Of the prefix's keys, and of its values, without the batch axis."""
        return (self.layers, self.kv_heads, self.prefix_tokens, self.head_dim)
