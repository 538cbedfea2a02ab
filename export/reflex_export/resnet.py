"""Residual networks of torchvision's shape, and the few layers that ACT and Diffusion Policy are made of.

Widths, depths, kernels and groups come from the tensors' shapes; what torchvision fixes in code is written out here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from reflex_export.checkpoint import TensorSource
from reflex_export.families.common import Precision
from reflex_export.graph import Array, GraphBuilder

__all__ = ["BACKBONES", "ResNet", "TypedLayers", "resnet_map_size"]

BACKBONES: Final = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
NORM_EPSILON: Final = 1e-5
"""PyTorch's default for batch, group and layer normalisation, which no checkpoint records."""
STAGES: Final = 4


class _Parameters(Mapping[str, Array]):
    """Weights that a graph asks for by name, each made from the checkpoint's tensors at that moment."""

    def __init__(self) -> None:
        self._makers: dict[str, Callable[[], Array]] = {}

    def define(self, name: str, make: Callable[[], Array]) -> str:
        self._makers[name] = make
        return name

    def __getitem__(self, name: str) -> Array:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


class TypedLayers:
    """Layers of one graph with the weights of one checkpoint, whose names are those of its files.

    With "fp16", matrix products and convolutions take and give FP16, so that what lies between `narrow` and `widen`
    is FP16; normalisation always takes and gives FP32. With "fp32" both are no operators at all.
    """

    def __init__(self, graph_name: str, tensors: TensorSource, precision: Precision) -> None:
        self._parameters = _Parameters()
        self._tensors = tensors
        self._dtype = np.float16 if precision == "fp16" else np.float32
        self.g = GraphBuilder(graph_name, self._parameters)

    def has(self, name: str) -> bool:
        """Whether the checkpoint holds a tensor of that name."""
        return name in self._tensors.names()

    def array(self, name: str) -> Array:
        """A tensor in float64, for what is computed at export: no rounding then depends on this machine's BLAS."""
        return self._tensors.load(name).astype(np.float64)

    def narrow(self, x: ir.Value) -> ir.Value:
        """FP32 to the precision of the products."""
        return self.g.op("Cast", x, to=int(ir.DataType.FLOAT16)) if self._dtype == np.float16 else x

    def widen(self, x: ir.Value) -> ir.Value:
        """The precision of the products to FP32."""
        return self.g.op("Cast", x, to=int(ir.DataType.FLOAT)) if self._dtype == np.float16 else x

    def weight(self, name: str, make: Callable[[], Array]) -> ir.Value:
        """A weight of the products' precision under a name of its own."""
        return self.g.weight(self._parameters.define(name, lambda: make().astype(self._dtype)))

    def constant(self, array: Array) -> ir.Value:
        """A constant of the products' precision."""
        return self.g.constant(array, self._dtype)

    def stored(self, name: str) -> ir.Value:
        """A tensor as it is, FP32: norms, positions."""
        make = self._tensors.load
        return self.g.weight(self._parameters.define(name, lambda: make(name).astype(np.float32)))

    def linear(self, x: ir.Value, weight: str, bias: str | None, rows: slice = slice(None)) -> ir.Value:
        """x @ weight[rows].T + bias[rows]."""
        suffix = "" if rows == slice(None) else f"[{rows.start}:{rows.stop}]"
        load = self._tensors.load
        product = self.g.op("MatMul", x, self.weight(f"{weight}{suffix}.T", lambda: load(weight)[rows].T))
        if bias is None:
            return product
        return self.g.op("Add", product, self.weight(f"{bias}{suffix}", lambda: load(bias)[rows]))

    def convolution(self, x: ir.Value, name: str, *, stride: int = 1, op_type: str = "Conv", padding: int = -1) -> ir.Value:
        """Any number of spatial axes; padded to keep the size unless told; groups as the shapes say."""
        weight, bias = f"{name}.weight", f"{name}.bias"
        load = self._tensors.load
        values = [self.weight(weight, lambda: load(weight))]
        if self.has(bias):
            values.append(self.weight(bias, lambda: load(bias)))
        kernel = self._tensors.shape(weight)[2:]
        return self._convolve(x, values, kernel, stride, padding, op_type)

    def convolution_with_norm(self, x: ir.Value, name: str, norm: str, *, stride: int = 1) -> ir.Value:
        """A convolution without bias into which the batch normalisation that follows it is folded."""
        weight, bias = f"{name}.weight", f"{norm}.folded_bias"
        gain = self.array(f"{norm}.weight") / np.sqrt(self.array(f"{norm}.running_var") + NORM_EPSILON)
        shift = self.array(f"{norm}.bias") - self.array(f"{norm}.running_mean") * gain
        values = [
            self.weight(f"{name}.folded", lambda: self.array(weight) * gain[:, None, None, None]),
            self.weight(bias, lambda: shift),
        ]
        return self._convolve(x, values, self._tensors.shape(weight)[2:], stride, -1, "Conv")

    def _convolve(
        self, x: ir.Value, values: list[ir.Value], kernel: tuple[int, ...], stride: int, padding: int, op_type: str
    ) -> ir.Value:
        pads = [size // 2 if padding == -1 else padding for size in kernel] * 2
        return self.g.op(op_type, x, *values, kernel_shape=kernel, strides=[stride] * len(kernel), pads=pads)

    def layer_norm(self, x: ir.Value, name: str) -> ir.Value:
        """Over the last axis, FP32."""
        weight, bias = self.stored(f"{name}.weight"), self.stored(f"{name}.bias")
        return self.g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=NORM_EPSILON)

    def group_norm(self, x: ir.Value, name: str, groups: int) -> ir.Value:
        """Over each group of channels of x [B, C, ...], FP32."""
        weight, bias = f"{name}.weight", f"{name}.bias"
        channels, *_ = self._tensors.shape(weight)
        # Opset 20 has no sound GroupNormalization; a group's channels in a row are one instance.
        grouped = self.g.op("Reshape", x, self.g.ints(0, groups, -1))
        ones, zeros = self.g.constant(np.ones(groups)), self.g.constant(np.zeros(groups))
        normal = self.g.op("InstanceNormalization", grouped, ones, zeros, epsilon=NORM_EPSILON)
        restored = self.g.op("Reshape", normal, self.g.op("Shape", x))
        return restored
