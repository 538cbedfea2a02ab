"""What a component's graph computes: its products, their operations and the weights that they read. Nothing is run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError

from reflex.errors import RepositoryError
from reflex.model_repository import MODEL_FILE
from reflex.policy_config import PolicyConfig

__all__ = ["GraphWork", "read_work"]

_SAME_CONTENT: Final = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators between a weight and the product that reads it."""
_PRODUCTS: Final = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose", "Attention"})


class GraphWork:
    """A component's graph for batch 1, with every shape inferred."""

    def __init__(self, content: bytes) -> None:
        model = onnx.load_model_from_string(content)
        for value in (*model.graph.input, *model.graph.output):
            for batch in value.type.tensor_type.shape.dim[:1]:
                batch.dim_value = 1
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        self.weights: Final[dict[str, tuple[int, ...]]] = {
            tensor.name: tuple(tensor.dims) for tensor in graph.initializer
        }
        self._nodes: Final = len(graph.node)
        self.output_names: Final = frozenset(value.name for value in graph.output)
        self._products: Final = [node for node in graph.node if node.op_type in _PRODUCTS]
        self._made_from: Final = {n.output[0]: n.input[0] for n in graph.node if n.op_type in _SAME_CONTENT}
        self._shapes: Final[dict[str, tuple[int, ...]]] = dict(self.weights)
        for value in (*graph.input, *graph.output, *graph.value_info):
            self._shapes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)

    def output_shape(self, name: str) -> tuple[int, ...]:
        """Without the batch axis; empty when there is no such output."""
        return self._shapes[name][1:] if name in self.output_names else ()

    def work(self) -> tuple[int, int]:
        """Operations per chunk, a multiply and an add being two, and how many operators there are."""
        return sum(self._product_flops(node) for node in self._products), self._nodes

    def reads(self) -> Iterator[str]:
        """The weight of every product that has one, as often as it is used."""
        for node in self._products:
            for name in node.input[:2]:
                origin = self._origin(name)
                if origin in self.weights:
                    yield origin

    def _origin(self, name: str) -> str:
        while name in self._made_from and name not in self.weights:
            name = self._made_from[name]
        return name

    def _product_flops(self, node: onnx.NodeProto) -> int:
        left, right, out = (self._shape(name) for name in (*node.input[:2], node.output[0]))
        if node.op_type == "Attention":  # Scores and mixed values: a query meets each key in all of its numbers.
            return 4 * math.prod(left) * right[1]
        if node.op_type == "ConvTranspose":
            return 2 * math.prod(left) * math.prod(right[1:])
        if node.op_type == "Conv":
            return 2 * math.prod(out) * math.prod(right[1:])
        is_transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return 2 * math.prod(out) * left[0 if is_transposed else -1]

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self._shapes.get(name, ())
        if not shape or 0 in shape:
            raise RepositoryError(f"the graph does not fix the shape of {name}, so its work cannot be counted")
        return shape


def read_work(repository: Path, config: PolicyConfig, role: str) -> GraphWork:
    """The newest version's; `RepositoryError` when there is none, or none that can be counted."""
    name = config.component(role)
    versions = [path for path in (repository / name).glob(f"*/{MODEL_FILE}") if path.parent.name.isdigit()]
    if not versions:
        raise RepositoryError(
            f"{repository / name} holds no {MODEL_FILE}, so its work cannot be counted; inspect the checkpoint instead"
        )
    newest = max(versions, key=lambda path: int(path.parent.name))
    try:
        graph = GraphWork(newest.read_bytes())
    except OSError as exc:
        raise RepositoryError(f"{newest} cannot be read ({exc.strerror}); export the policy again") from exc
    except (DecodeError, onnx.shape_inference.InferenceError) as exc:
        raise RepositoryError(f"{newest} is no valid ONNX graph; export the policy again") from exc
    if not graph.output_names:
        raise RepositoryError(f"{newest} is empty; export the policy again")
    return graph
