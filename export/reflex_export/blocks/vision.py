"""The SigLIP vision tower: patches plus a position table, pre-norm blocks with full attention, a last norm.

SmolVLM's and PaliGemma's towers are this one under different names; depth and widths are read from the tensors. Images
go through it as the rows of one matrix, [N * patches, width]; only attention sees where an image ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.operators import attend, dense, merged_dense, rows, split, tokens
from reflex_export.blocks.transformer import layer_norm
from reflex_export.checkpoint import LAYER_NUMBER, TensorSource
from reflex_export.errors import TensorShapeError
from reflex_export.graph.graph import Array, GraphBuilder

__all__ = ["VisionTower", "count_layers", "vision_tower"]


@dataclass(frozen=True)
class VisionTower:
    """A tower as the checkpoint has it. `name` is the prefix of its tensors, up to and with `vision_model`."""

    name: str
    width: int
    heads: int
    layers: int
    patch_size: int
    epsilon: float
    grid: tuple[int, int]
    """Rows and columns of patches of one image."""
    position_rows: int
    """Entries of the position table."""

    @classmethod
    def of(
        cls, tensors: TensorSource, name: str, *, heads: int, epsilon: float, image_size: tuple[int, int]
    ) -> VisionTower:
        """Read the sizes from the tensors' shapes; `image_size` is (height, width) of the tower's input."""
        patches = f"{name}.embeddings.patch_embedding.weight"
        width, _, patch_size, _ = tensors.shape(patches)
        if width % heads:
            raise TensorShapeError(f"{patches} has {width} channels, which {heads} attention heads cannot share")
        return cls(
            name=name,
            width=width,
            heads=heads,
            layers=count_layers(tensors, f"{name}.encoder.layers"),
            patch_size=patch_size,
            epsilon=epsilon,
            grid=(image_size[0] // patch_size, image_size[1] // patch_size),
            position_rows=tensors.shape(f"{name}.embeddings.position_embedding.weight")[0],
        )

    @property
    def patches(self) -> int:
        return self.grid[0] * self.grid[1]


def count_layers(tensors: TensorSource, name: str) -> int:
    """How many layers `<name>.<index>.` the checkpoint has."""
    indices = {rest.split(".", 1)[0] for rest in _rests(tensors, f"{name}.")}
    return max((int(index) + 1 for index in indices if re.fullmatch(LAYER_NUMBER, index)), default=0)


def vision_tower(g: GraphBuilder, tower: VisionTower, pixels: ir.Value) -> ir.Value:
    """FP32 [N, 3, height, width] in -1..1 -> rows [N * patches, width], of the type that attention has."""
    hidden = rows(g, g.op("Add", _patches(g, tower, pixels), _positions(g, tower)), tower.width)
    for layer in range(tower.layers):
        hidden = _layer(g, tower, hidden, f"{tower.name}.encoder.layers.{layer}")
    with g.attention_block():
        return layer_norm(g, hidden, f"{tower.name}.post_layernorm", tower.epsilon)


def _rests(tensors: TensorSource, prefix: str) -> set[str]:
    return {name[len(prefix) :] for name in tensors.names() if name.startswith(prefix)}


def _patches(g: GraphBuilder, tower: VisionTower, pixels: ir.Value) -> ir.Value:
    """The convolution is FP32: it is a thousandth of the tower's work and sees the raw pixels."""
    name, kernel = f"{tower.name}.embeddings.patch_embedding", [tower.patch_size] * 2
    weight, bias = g.weight(f"{name}.weight", "FP32"), g.weight(f"{name}.bias", "FP32")
    grid = g.op("Conv", pixels, weight, bias, kernel_shape=kernel, strides=kernel)
    return g.op("Transpose", g.op("Reshape", grid, g.ints(0, tower.width, tower.patches)), perm=[0, 2, 1])


def _positions(g: GraphBuilder, tower: VisionTower) -> ir.Value:
    """[patches, width], FP32."""
    name = f"{tower.name}.embeddings.position_embedding.weight"
    rows = _position_rows(tower)
    if np.array_equal(rows, np.arange(tower.position_rows)):
        return g.weight(name, "FP32")
    return g.derived(f"{name}.used", (tower.patches, tower.width), lambda: g.tensor(name)[rows], "FP32")


def _position_rows(tower: VisionTower) -> Array:
    """Which table row each patch takes: a smaller image strides over the table, one of its size walks through it."""
    side = round(tower.position_rows**0.5)
    if side**2 != tower.position_rows or max(tower.grid) > side:
        table = f"{tower.name}.embeddings.position_embedding"
        raise TensorShapeError(f"{table} has {tower.position_rows} entries, the image has {tower.grid} patches")
    boundaries = np.arange(1, side) / side
    rows, columns = (_bucket(count, boundaries) for count in tower.grid)
    indices: Array = (rows[:, None] * side + columns[None, :]).reshape(-1)
    return indices


def _bucket(count: int, boundaries: Array) -> Array:
    positions = (np.arange(count, dtype=np.float32) / np.float32(count)).astype(np.float32)
    buckets: Array = np.searchsorted(boundaries.astype(np.float32), positions, side="right")
    return buckets


def _layer(g: GraphBuilder, tower: VisionTower, hidden: ir.Value, name: str) -> ir.Value:
    with g.attention_block():
        hidden = g.op("Add", hidden, _attended(g, tower, hidden, name))
    normed = layer_norm(g, hidden, f"{name}.layer_norm2", tower.epsilon)
    active = g.op("Gelu", dense(g, normed, f"{name}.mlp.fc1", bias=True), approximate="tanh")
    return g.op("Add", hidden, g.widen(dense(g, active, f"{name}.mlp.fc2", bias=True)))


def _attended(g: GraphBuilder, tower: VisionTower, hidden: ir.Value, name: str) -> ir.Value:
    """FP32: what the first half of a layer adds."""
    normed = layer_norm(g, hidden, f"{name}.layer_norm1", tower.epsilon)
    parts = {f"{name}.self_attn.{part}_proj": 1.0 for part in "qkv"}
    merged = merged_dense(g, normed, f"{name}.self_attn.qkv_proj", parts, bias=True)
    query, key, value = split(g, tokens(g, merged, tower.patches, 3 * tower.width), *[tower.width] * 3)
    mixed = attend(g, query, key, value, heads=tower.heads, kv_heads=tower.heads, head_dim=tower.width // tower.heads)
    return g.widen(dense(g, rows(g, mixed, tower.width), f"{name}.self_attn.out_proj", bias=True))
