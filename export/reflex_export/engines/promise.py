"""In which types an ONNX graph asks for its multiplications: what an engine of it must come near to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx

__all__ = ["promised_multiplications"]

TYPE_NAMES: Final[Mapping[int, str]] = {
    onnx.TensorProto.FLOAT: "fp32",
    onnx.TensorProto.FLOAT16: "fp16",
    onnx.TensorProto.BFLOAT16: "bf16",
}
CONVOLUTIONS: Final = frozenset({"Conv", "ConvTranspose"})
PRODUCTS: Final = CONVOLUTIONS | {"MatMul", "Gemm", "Einsum", "Attention"}


@dataclass(frozen=True)
class _Tensor:
    datatype: str
    shape: tuple[int, ...]
    """1 where the size is open, as the batch is."""


def promised_multiplications(path: Path) -> dict[str, int]:
    """The graph's multiplications at batch 1 by the type of their first operand; its weights are not read."""
    model = onnx.load(path, load_external_data=False)
    for value in model.graph.input:
        for batch in value.type.tensor_type.shape.dim[:1]:
            batch.dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    tensors = dict(_tensors(graph))
    counted: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type in PRODUCTS and {node.input[0], node.output[0]} <= tensors.keys():
            counted[tensors[node.input[0]].datatype] += _multiplications(node, tensors)
    return dict(counted)


def _tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, _Tensor]]:
    for value in (*graph.input, *graph.output, *graph.value_info):
        described = value.type.tensor_type
        shape = tuple(max(1, axis.dim_value) for axis in described.shape.dim)
        yield value.name, _Tensor(_name_of(described.elem_type), shape)
    for weight in graph.initializer:
        yield weight.name, _Tensor(_name_of(weight.data_type), tuple(weight.dims))


def _multiplications(node: onnx.NodeProto, tensors: Mapping[str, _Tensor]) -> int:
    """Every element of the output is a sum over `depth` products, as `precision` counts them in the network."""
    first, second = (tensors.get(name) for name in node.input[:2])
    if node.op_type == "Attention":  # Two products: of each query with each key, and of the shares with the values.
        keys = second.shape[-2] if second is not None else 1
        return 2 * keys * math.prod(tensors[node.output[0]].shape)
    if node.op_type in CONVOLUTIONS and second is not None:
        depth = math.prod(second.shape[1:] if node.op_type == "Conv" else second.shape[:1] + second.shape[2:])
    else:
        depth = first.shape[-1] if first is not None and first.shape else 1
    return depth * math.prod(tensors[node.output[0]].shape)


def _name_of(datatype: int) -> str:
    return TYPE_NAMES.get(datatype, onnx.TensorProto.DataType.Name(datatype).lower())
