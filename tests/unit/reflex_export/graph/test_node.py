from __future__ import annotations

import onnx
import onnx_ir as ir

from reflex_export.graph.node import Attribute, Node, append_node


def written(node: Node) -> onnx.NodeProto:
    graph = onnx.GraphProto()
    append_node(graph, "n7", node)
    (only,) = graph.node
    found: onnx.NodeProto = only
    return found


def test_an_operator_is_written_as_onnx_ir_writes_it() -> None:
    attributes: dict[str, Attribute] = {"axis": -1, "epsilon": 1e-5, "mode": "linear", "perm": [1, 0], "none": []}
    a, b, y, z = (ir.Value(name=name) for name in "abyz")
    inputs = (a, None, b)

    found = written(Node("Any", inputs, (y, z), attributes))

    stated = [
        ir.AttrInt64("axis", -1),
        ir.AttrFloat32("epsilon", 1e-5),
        ir.AttrString("mode", "linear"),
        ir.AttrInt64s("perm", [1, 0]),
        ir.AttrInt64s("none", []),
    ]
    expected = ir.Node("", "Any", inputs, stated, outputs=[ir.Value(name="y"), ir.Value(name="z")], name="n7")
    assert found.SerializeToString(deterministic=True) == ir.serde.serialize_node(expected).SerializeToString(
        deterministic=True
    )


def test_an_output_has_the_name_that_it_has_when_the_graph_is_written() -> None:
    result = ir.Value(name="v7")
    node = Node("Relu", (ir.Value(name="x"),), (result,), {})

    result.name = "actions"

    assert list(written(node).output) == ["actions"]
