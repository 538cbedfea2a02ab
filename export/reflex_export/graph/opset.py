"""The opset that a graph is written in: the oldest that has its operators, since older runtimes refuse newer ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["opset_of"]

PLAIN: Final = (20, 9)
"""The first opset with Gelu, and its IR version; ONNX Runtime 1.17 and TensorRT 10.0 read it."""
FUSED: Final = (23, 11)
"""ONNX Runtime reads it from 1.24 on, TensorRT from 10.15; tried with ONNX Runtime 1.31 and TensorRT for RTX 1.7."""
FUSED_OPERATORS: Final = frozenset({"Attention", "RMSNormalization", "RotaryEmbedding"})


def opset_of(op_types: Iterable[str]) -> tuple[int, int]:
    """(opset, IR version) for a graph of these operators."""
    return PLAIN if FUSED_OPERATORS.isdisjoint(op_types) else FUSED
