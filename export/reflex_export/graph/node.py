"""One operator of a graph under construction, and what it is in the file.

onnx-ir's own nodes know their users, so that graphs can be rewritten. Ours are only appended to, and an unrolled loop
has ten thousand: there, that knowledge takes longer than everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import onnx
import onnx_ir as ir

__all__ = ["Attribute", "Node", "append_node"]

Attribute = int | float | str | Sequence[int]


class Node(NamedTuple):
    """Values are named when the graph is written: an output may get its public name after its operator."""

    op_type: str
    inputs: tuple[ir.Value | None, ...]
    """None for an optional one that is left out."""
    outputs: tuple[ir.Value, ...]
    attributes: Mapping[str, Attribute]


def append_node(graph: onnx.GraphProto, name: str, node: Node) -> None:
    written = graph.node.add()
    written.name, written.op_type = name, node.op_type
    written.input.extend([(value.name or "") if value is not None else "" for value in node.inputs])
    written.output.extend([value.name or "" for value in node.outputs])
    for attribute, value in node.attributes.items():
        _fill(written.attribute.add(), attribute, value)


def _fill(written: onnx.AttributeProto, name: str, value: Attribute) -> None:
    written.name = name
    match value:
        case int():
            written.type, written.i = onnx.AttributeProto.INT, value
        case float():
            written.type, written.f = onnx.AttributeProto.FLOAT, value
        case str():
            written.type, written.s = onnx.AttributeProto.STRING, value.encode()
        case _:
            written.type = onnx.AttributeProto.INTS
            written.ints.extend(value)
