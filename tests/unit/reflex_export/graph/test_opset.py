from __future__ import annotations

from reflex_export.graph.opset import opset_of


def test_a_graph_of_old_operators_stays_readable_by_old_runtimes() -> None:
    assert opset_of(["MatMul", "Gelu", "LayerNormalization"]) == (20, 9)


def test_one_operator_of_opset_23_makes_the_whole_graph_one_of_it() -> None:
    assert opset_of(["MatMul", "RMSNormalization"]) == (23, 11)
