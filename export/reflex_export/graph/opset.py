"""The opset that a graph is written in: the oldest that has its operators, since older runtimes refuse newer ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reflex_export.graph.node import Node

__all__ = ["opset_of"]

PLAIN: Final = (20, 9)
"""The first opset with Gelu, and its IR version; ONNX Runtime 1.17 and TensorRT 10.0 read it."""
FUSED: Final = (23, 11)
"""ONNX Runtime reads it from 1.24 on, TensorRT from 10.15; tried with ONNX Runtime 1.31 and TensorRT for RTX 1.7."""
FUSED_OPERATORS: Final = frozenset({"Attention", "RMSNormalization", "RotaryEmbedding"})
COUNTED: Final = (24, 12)
"""With the number of valid keys in place of a mask, and a cache that is written into. TensorRT ignores that number."""
COUNTED_OPERATORS: Final = frozenset({"TensorScatter"})
MASKED_INPUTS: Final = 6
"""Of an Attention that is no newer than opset 23."""


def opset_of(nodes: Iterable[Node]) -> tuple[int, int]:
    """(opset, IR version) for a graph of these operators."""
    nodes = tuple(nodes)
    if any(_is_counted(node) for node in nodes):
        return COUNTED
    return PLAIN if FUSED_OPERATORS.isdisjoint(node.op_type for node in nodes) else FUSED


def _is_counted(node: Node) -> bool:
    takes_number = node.op_type == "Attention" and len(node.inputs) > MASKED_INPUTS
    return takes_number or node.op_type in COUNTED_OPERATORS
