"""Residual networks of torchvision's shape, up to the last stage's feature map: the eyes of ACT and Diffusion Policy.

Widths, kernels and groups come from the tensors' shapes; what torchvision fixes in code is written out here.
Batch normalisation is folded into the convolution before it. In an FP16 graph everything is FP16 but group
normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.errors import TensorShapeError
from reflex_export.graph.graph import Array, GraphBuilder

__all__ = ["BACKBONES", "NORM_EPSILON", "BackboneNames", "FeatureMap", "ResNet", "convolution", "group_norm"]

BACKBONES: Final[Mapping[str, tuple[int, ...]]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
"""Blocks of each stage."""
BOTTLENECK_BACKBONES: Final = frozenset({"resnet50", "resnet101", "resnet152"})
NORM_EPSILON: Final = 1e-5
"""PyTorch's default for batch, group and layer normalisation, which no checkpoint records."""
GROUP_WIDTH: Final = 16
"""Channels of a group where Diffusion Policy replaces batch normalisation."""


@dataclass(frozen=True)
class BackboneNames:
    """Where a backbone's parts are in a checkpoint: under torchvision's own names, or numbered in a row."""

    stem: str
    stem_norm: str
    stages: tuple[str, ...]

    @classmethod
    def by_name(cls, prefix: str) -> BackboneNames:
        """conv1, bn1, layer1 .. layer4."""
        return cls(f"{prefix}.conv1", f"{prefix}.bn1", tuple(f"{prefix}.layer{stage}" for stage in range(1, 5)))

    @classmethod
    def by_number(cls, prefix: str) -> BackboneNames:
        """0 and 1, then (after activation and pooling) 4 .. 7."""
        return cls(f"{prefix}.0", f"{prefix}.1", tuple(f"{prefix}.{child}" for child in range(4, 8)))


@dataclass(frozen=True)
class FeatureMap:
    """[B, channels, height, width], in the type that the graph computes in."""

    value: ir.Value
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class ResNet:
    """One backbone of a checkpoint."""

    g: GraphBuilder
    backbone: str
    """One of `BACKBONES`."""
    names: BackboneNames
    has_group_norm: bool = False
    """Group instead of batch normalisation."""

    def __call__(self, image: FeatureMap) -> FeatureMap:
        """The last stage's map of an image."""
        x = self._relu(self._normed_convolution(image, self.names.stem, self.names.stem_norm, stride=2))
        x = self._max_pool(x)
        for stage, (name, depth) in enumerate(zip(self.names.stages, BACKBONES[self.backbone], strict=True)):
            for block in range(depth):
                x = self._block(x, f"{name}.{block}", stride=2 if stage > 0 and block == 0 else 1)
        return x

    def _block(self, x: FeatureMap, name: str, *, stride: int) -> FeatureMap:
        """relu(convolutions(x) + x), where x is projected if the convolutions change its shape."""
        # The first 3x3 kernel has the stride: conv1 of a basic block, conv2 of a bottleneck.
        last, strided = (3, 2) if self.backbone in BOTTLENECK_BACKBONES else (2, 1)
        skip = x
        if stride > 1 or self.g.shape(f"{name}.conv1.weight")[1] != self.g.shape(f"{name}.conv{last}.weight")[0]:
            skip = self._normed_convolution(x, f"{name}.downsample.0", f"{name}.downsample.1", stride=stride)
        for part in range(1, last + 1):
            part_stride = stride if part == strided else 1
            x = self._normed_convolution(x, f"{name}.conv{part}", f"{name}.bn{part}", stride=part_stride)
            x = self._relu(x) if part < last else x
        if x.channels != skip.channels:
            raise TensorShapeError(f"{name}: {x.channels} channels cannot be added to {skip.channels}")
        return self._relu(replace(x, value=self.g.op("Add", x.value, skip.value)))

    def _normed_convolution(self, x: FeatureMap, name: str, norm: str, *, stride: int) -> FeatureMap:
        channels, kernel = self._checked_sizes(name, norm, x.channels)
        height, width = _strided(x.height, kernel, stride), _strided(x.width, kernel, stride)
        if not self.has_group_norm:
            return FeatureMap(self._folded(x.value, name, norm, stride), channels, height, width)
        wide = self.g.widen(convolution(self.g, x.value, name, stride=stride, bias=False))
        normal = group_norm(self.g, wide, norm, channels // GROUP_WIDTH, (height, width))
        return FeatureMap(self.g.halve(normal), channels, height, width)

    def _checked_sizes(self, name: str, norm: str, channels_in: int) -> tuple[int, int]:
        """Channels that come out, and the kernel's side."""
        shape = self.g.shape(f"{name}.weight")
        if len(shape) != 4 or shape[1:] != (channels_in, shape[2], shape[2]):
            raise TensorShapeError(f"{name}.weight is {list(shape)}, but {channels_in} channels go in")
        for part in ("weight", "bias", *(() if self.has_group_norm else ("running_mean", "running_var"))):
            if self.g.shape(f"{norm}.{part}") != shape[:1]:
                found = list(self.g.shape(f"{norm}.{part}"))
                raise TensorShapeError(f"{norm}.{part} is {found}, but {shape[0]} channels go in")
        return shape[0], shape[2]

    def _folded(self, x: ir.Value, name: str, norm: str, stride: int) -> ir.Value:
        g, shape = self.g, self.g.shape(f"{name}.weight")
        weight = g.derived(f"{name}.folded", shape, lambda: self._tensor(f"{name}.weight") * self._gain(norm, 3))
        bias = g.derived(f"{norm}.folded", shape[:1], lambda: self._shift(norm))
        return _convolve(g, x, [weight, bias], shape[2:], stride)

    def _gain(self, norm: str, trailing_axes: int = 0) -> Array:
        gain: Array = self._tensor(f"{norm}.weight") / np.sqrt(self._tensor(f"{norm}.running_var") + NORM_EPSILON)
        return gain.reshape(-1, *(1,) * trailing_axes)

    def _shift(self, norm: str) -> Array:
        shift: Array = self._tensor(f"{norm}.bias") - self._tensor(f"{norm}.running_mean") * self._gain(norm)
        return shift

    def _tensor(self, name: str) -> Array:
        return self.g.tensor(name).astype(np.float64)

    def _max_pool(self, x: FeatureMap) -> FeatureMap:
        pooled = self.g.op("MaxPool", x.value, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        return FeatureMap(pooled, x.channels, _strided(x.height, 3, 2), _strided(x.width, 3, 2))

    def _relu(self, x: FeatureMap) -> FeatureMap:
        return replace(x, value=self.g.op("Relu", x.value))


def convolution(g: GraphBuilder, x: ir.Value, name: str, *, stride: int = 1, bias: bool = True) -> ir.Value:
    """Over any number of axes, padded by half the kernel."""
    values = [g.weight(f"{name}.weight"), *([g.weight(f"{name}.bias")] if bias else [])]
    return _convolve(g, x, values, g.shape(f"{name}.weight")[2:], stride)


def group_norm(g: GraphBuilder, x: ir.Value, name: str, groups: int, size: Sequence[int]) -> ir.Value:
    """Each group of channels of x [B, C, *size] to mean 0 and variance 1, then scaled per channel; FP32."""
    (channels,) = g.shape(f"{name}.weight")
    # GroupNormalization scales per group before opset 21; a group's channels in one row are an instance.
    rows = g.op("Reshape", x, g.ints(0, groups, -1))
    ones, zeros = g.constant(np.ones(groups)), g.constant(np.zeros(groups))
    normal = g.op("InstanceNormalization", rows, ones, zeros, epsilon=NORM_EPSILON)
    scaled = g.op("Mul", g.op("Reshape", normal, g.ints(0, channels, *size)), _column(g, f"{name}.weight", len(size)))
    return g.op("Add", scaled, _column(g, f"{name}.bias", len(size)))


def _column(g: GraphBuilder, name: str, trailing_axes: int) -> ir.Value:
    shape = (*g.shape(name), *(1,) * trailing_axes)
    return g.derived(f"{name}.column", shape, lambda: g.tensor(name).reshape(shape), "FP32")


def _convolve(g: GraphBuilder, x: ir.Value, values: Sequence[ir.Value], kernel: Sequence[int], stride: int) -> ir.Value:
    pads = [size // 2 for size in kernel] * 2
    return g.op("Conv", x, *values, kernel_shape=list(kernel), strides=[stride] * len(kernel), pads=pads)


def _strided(side: int, kernel: int, stride: int) -> int:
    return (side + 2 * (kernel // 2) - kernel) // stride + 1
