"""The one-dimensional U-Net of Diffusion Policy: what noise does a trajectory hold, given observation and time?

The condition enters every block through a linear map of [time embedding ; observation]. The time's share is a constant
of each step and the observation's share is the same in every step, so a step only adds the two.

Shapes: A action width, T horizon (halved by each downsampling), C a block's channels. Trajectories are [B, A, T], FP32;
in an FP16 graph convolutions are FP16; normalisation, activation, sums and the condition are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.blocks.resnet import convolution, group_norm
from reflex_export.configs.diffusion import DiffusionConfig
from reflex_export.graph.graph import Array, GraphBuilder

__all__ = ["UNet", "UNetShape", "step_embeddings", "unet_shapes"]

STRIDE: Final = 2
FINAL_GROUPS: Final = 8
"""Groups of the last block: lerobot's default, which the config's n_groups does not reach."""
MAX_PERIOD: Final = 10_000.0
_PREFIX: Final = "diffusion.unet"
_BLOCKS_IN_A_ROW: Final = 2


@dataclass(frozen=True)
class UNetShape:
    """What the tensors do not say."""

    levels: int
    """Resolutions: one downsampling fewer."""
    horizon: int
    groups: int
    is_scaled: bool
    """The condition gives every channel a factor as well as an offset."""


class UNet:
    """The network in one graph, for one observation: called once for each step, its weights stored once."""

    def __init__(self, g: GraphBuilder, shape: UNetShape, observation: ir.Value, embeddings: Array) -> None:
        """`observation` is FP32 [B, G]; `embeddings` [steps, E] are the steps' times."""
        self._g = g
        self._shape = shape
        self._observation = g.op("Mish", observation)
        self._embeddings = _mish(embeddings.astype(np.float64))
        self._conditions: dict[str, tuple[ir.Value, Array]] = {}

    def __call__(self, x: ir.Value, step: int) -> ir.Value:
        """The network's answer [B, A, T] to the trajectory x [B, A, T]."""
        top = self._shape.levels - 1
        skips = []
        for level in range(self._shape.levels):
            name = f"{_PREFIX}.down_modules.{level}"
            x = self._blocks(x, name, step, level)
            skips.append(x)
            x = self._convolution(x, f"{name}.2", stride=STRIDE) if level < top else x
        x = self._blocks(x, f"{_PREFIX}.mid_modules", step, top)
        for up in range(top):
            name = f"{_PREFIX}.up_modules.{up}"
            x = self._blocks(self._g.op("Concat", x, skips.pop(), axis=1), name, step, top - up)
            x = self._upsampling(x, f"{name}.2")
        x = self._convolution_block(x, f"{_PREFIX}.final_conv.0.block", FINAL_GROUPS, self._shape.horizon)
        return self._convolution(x, f"{_PREFIX}.final_conv.1")

    def _blocks(self, x: ir.Value, name: str, step: int, level: int) -> ir.Value:
        for block in range(_BLOCKS_IN_A_ROW):
            x = self._residual_block(x, f"{name}.{block}", step, self._shape.horizon // STRIDE**level)
        return x

    def _residual_block(self, x: ir.Value, name: str, step: int, length: int) -> ir.Value:
        width_out, width_in, _ = self._g.shape(f"{name}.conv1.block.0.weight")
        hidden = self._convolution_block(x, f"{name}.conv1.block", self._shape.groups, length)
        hidden = self._modulated(hidden, name, step)
        hidden = self._convolution_block(hidden, f"{name}.conv2.block", self._shape.groups, length)
        skip = x if width_in == width_out else self._convolution(x, f"{name}.residual_conv")
        return self._g.op("Add", hidden, skip)

    def _convolution_block(self, x: ir.Value, name: str, groups: int, length: int) -> ir.Value:
        """Convolution, normalisation, activation."""
        normal = group_norm(self._g, self._convolution(x, f"{name}.0"), f"{name}.1", groups, (length,))
        return self._g.op("Mish", normal)

    def _modulated(self, hidden: ir.Value, name: str, step: int) -> ir.Value:
        if name not in self._conditions:
            self._conditions[name] = self._condition(name)
        observation, times = self._conditions[name]
        condition = self._g.op("Add", observation, self._g.constant(times[step][:, None]))
        if not self._shape.is_scaled:
            return self._g.op("Add", hidden, condition)
        factor, offset = self._g.op_n("Split", 2, condition, axis=1, num_outputs=2)
        return self._g.op("Add", self._g.op("Mul", hidden, factor), offset)

    def _condition(self, name: str) -> tuple[ir.Value, Array]:
        """A block's condition from the observation, FP32 [B, C or 2 C, 1], and from the times, [steps, C or 2 C]."""
        g, weight = self._g, f"{name}.cond_encoder.1.weight"
        times = self._embeddings.shape[1]
        rows, columns = g.shape(weight)
        part = f"{weight}[:, {times}:].T"
        # FP32 in every graph: a state that never moved in training is divided by almost nothing, beyond FP16's range.
        matrix = g.derived(part, (columns - times, rows), lambda: g.tensor(weight)[:, times:].T, "FP32")
        observation = g.op("MatMul", self._observation, matrix)
        share = self._embeddings @ g.tensor(weight)[:, :times].T.astype(np.float64)
        share += g.tensor(f"{name}.cond_encoder.1.bias")
        return g.op("Unsqueeze", observation, g.ints(2)), share.astype(np.float32)

    def _convolution(self, x: ir.Value, name: str, *, stride: int = 1) -> ir.Value:
        """FP32 in and out."""
        return self._g.widen(convolution(self._g, self._g.halve(x), name, stride=stride))

    def _upsampling(self, x: ir.Value, name: str) -> ir.Value:
        """A transposed convolution, FP32 in and out."""
        g, weight = self._g, f"{name}.weight"
        kernel = g.shape(weight)[2]
        values = (g.weight(weight), g.weight(f"{name}.bias"))
        pads = [(kernel - STRIDE) // 2] * 2
        longer = g.op("ConvTranspose", g.halve(x), *values, kernel_shape=[kernel], strides=[STRIDE], pads=pads)
        return g.widen(longer)


def step_embeddings(g: GraphBuilder, timesteps: Array) -> Array:
    """[steps, E] for integer timesteps, float32: sinusoids through two linear layers."""
    first, second = (f"{_PREFIX}.diffusion_step_encoder.{layer}" for layer in (1, 3))
    half = g.shape(f"{first}.weight")[1] // 2
    frequencies = np.exp(np.arange(half, dtype=np.float32) * np.float32(-math.log(MAX_PERIOD) / (half - 1)))
    angles = timesteps.astype(np.float32)[:, None] * frequencies
    hidden: Array = np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float64)
    for name in (first, second):
        hidden = hidden @ g.tensor(f"{name}.weight").T.astype(np.float64) + g.tensor(f"{name}.bias")
        hidden = _mish(hidden) if name == first else hidden
    embeddings: Array = hidden.astype(np.float32)
    return embeddings


def unet_shapes(config: DiffusionConfig, action_dim: int, condition: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor of the network and its shape; `condition` is the width of global_cond."""
    embedding, widths = config.diffusion_step_embed_dim, [action_dim, *config.down_dims]
    yield from _layer_shapes(f"{_PREFIX}.diffusion_step_encoder.1", 4 * embedding, embedding)
    yield from _layer_shapes(f"{_PREFIX}.diffusion_step_encoder.3", embedding, 4 * embedding)
    block = partial(_block_shapes, config, embedding + condition)
    for level, (into, out) in enumerate(pairwise(widths)):
        name = f"{_PREFIX}.down_modules.{level}"
        yield from block(f"{name}.0", into, out)
        yield from block(f"{name}.1", out, out)
        if level < len(widths) - 2:
            yield from _layer_shapes(f"{name}.2", out, out, 3)
    for index in range(_BLOCKS_IN_A_ROW):
        yield from block(f"{_PREFIX}.mid_modules.{index}", widths[-1], widths[-1])
    for level, (out, into) in enumerate(pairwise(reversed(widths[1:]))):
        name = f"{_PREFIX}.up_modules.{level}"
        yield from block(f"{name}.0", 2 * out, into)
        yield from block(f"{name}.1", into, into)
        yield from _layer_shapes(f"{name}.2", into, into, 4)
    yield from _layer_shapes(f"{_PREFIX}.final_conv.0.block.0", widths[1], widths[1], config.kernel_size)
    yield from _layer_shapes(f"{_PREFIX}.final_conv.0.block.1", widths[1])
    yield from _layer_shapes(f"{_PREFIX}.final_conv.1", action_dim, widths[1], 1)


def _block_shapes(
    config: DiffusionConfig, condition: int, name: str, into: int, out: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part, source in (("conv1", into), ("conv2", out)):
        yield from _layer_shapes(f"{name}.{part}.block.0", out, source, config.kernel_size)
        yield from _layer_shapes(f"{name}.{part}.block.1", out)
    yield from _layer_shapes(f"{name}.cond_encoder.1", 2 * out if config.use_film_scale_modulation else out, condition)
    if into != out:
        yield from _layer_shapes(f"{name}.residual_conv", out, into, 1)


def _layer_shapes(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _mish(x: Array) -> Array:
    activated: Array = x * np.tanh(np.logaddexp(0.0, x))
    return activated
