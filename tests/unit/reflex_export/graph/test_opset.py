from __future__ import annotations

import onnx_ir as ir
import pytest

from reflex_export.graph.node import Node
from reflex_export.graph.opset import opset_of

VALUE = ir.Value(name="x")


def node(op_type: str, *inputs: ir.Value | None) -> Node:
    return Node(op_type, inputs, (VALUE,), {})


def test_a_graph_of_old_operators_stays_readable_by_old_runtimes() -> None:
    assert opset_of([node("MatMul"), node("Gelu"), node("LayerNormalization")]) == (20, 9)


def test_one_operator_of_opset_23_makes_the_whole_graph_one_of_it() -> None:
    assert opset_of([node("MatMul"), node("RMSNormalization"), node("Attention", *[VALUE] * 4)]) == (23, 11)


@pytest.mark.parametrize(
    "newer", [node("TensorScatter"), node("Attention", *[VALUE] * 3, None, None, None, VALUE)], ids=["room", "number"]
)
def test_keys_by_their_number_make_it_one_of_opset_24(newer: Node) -> None:
    assert opset_of([node("RMSNormalization"), newer]) == (24, 12)
