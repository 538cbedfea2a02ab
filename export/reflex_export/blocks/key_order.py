"""Keys and values of which the valid ones come first: then their number says all that a mask would say.

Attention with a mask leaves the fastest kernels of ONNX Runtime on CUDA, and attention with a number keeps them. It
does not care in which order keys come, as long as values come in the same. Shapes: B batch, S sequences, L tokens of
each, W width of a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reflex_export.graph.graph import GraphBuilder

__all__ = ["ValidFirst", "valid_first"]


@dataclass(frozen=True)
class ValidFirst:
    """What was brought into this order."""

    stacks: tuple[ir.Value, ...]
    """[B, S * L, W] each."""
    count: ir.Value
    """INT64 [B]: how many tokens of every sequence are valid."""
    wide_count: ir.Value
    """The same as FP32 [B, 1], for positions."""
    mask: ir.Value
    """BOOL [B, L]: the first of each."""


def valid_first(
    g: GraphBuilder, stacks: Sequence[ir.Value], mask: ir.Value, *, sequences: int, length: int
) -> ValidFirst:
    """Of `stacks` [B, S * L, W] each of the S sequences: its valid tokens, then the others, each kind in its order.

    `mask` BOOL [B, L] is the same for all sequences of a request.
    """
    # In FP32, which counts as exactly and which CUDA adds up without cuDNN.
    ones = g.op("Cast", mask, to=int(ir.DataType.FLOAT))
    wide_count = g.op("ReduceSum", ones, g.ints(1), keepdims=1)
    order = _order(g, mask, ones, wide_count, length)
    of_all = g.op("Add", g.op("Unsqueeze", order, g.ints(1)), _starts(g, sequences, length))
    picked = g.op("Reshape", of_all, g.ints(-1, sequences * length, 1))
    ordered = tuple(g.op("GatherND", stack, picked, batch_dims=1) for stack in stacks)
    return ValidFirst(
        ordered,
        count=g.op("Cast", g.op("Squeeze", wide_count, g.ints(1)), to=int(ir.DataType.INT64)),
        wide_count=wide_count,
        mask=g.op("Less", g.constant(np.arange(length)[None]), wide_count),
    )


def _order(g: GraphBuilder, mask: ir.Value, ones: ir.Value, count: ir.Value, length: int) -> ir.Value:
    """INT64 [B, L]: which token comes at each place; `ones` is the mask, and `count` [B, 1] its sum, in FP32."""
    before = g.op("CumSum", ones, g.constant(1, np.int64), exclusive=1)
    behind = g.op("Add", g.op("Sub", g.constant(np.arange(length)[None]), before), count)
    goes_to = g.op("Cast", g.op("Where", mask, before, behind), to=int(ir.DataType.INT64))
    places = g.constant(np.arange(length)[None], np.int64)
    of_each = g.op("Where", mask, places, places)  # broadcast over the batch without knowing it
    return g.op("ScatterElements", of_each, goes_to, of_each, axis=1)


def _starts(g: GraphBuilder, sequences: int, length: int) -> ir.Value:
    """[1, S, 1]: where each sequence begins."""
    return g.constant(np.arange(sequences)[None, :, None] * length, np.int64)
