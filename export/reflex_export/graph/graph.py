"""A thin builder over onnx-ir: inputs, weights, constants, operators, outputs, bytes.

Every graph has a leading dynamic batch axis, which `TensorConfig` and the methods here leave out of a shape, as Triton
does.

A graph computes in one type, `compute`: FP32, or FP16 with islands of FP32. `halve` and `widen` mark the shores of an
island; in an FP32 graph they do nothing. A whole attention block can be an island: see `attention_block`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from reflex.policy_config import TensorConfig
from reflex_export.checkpoint import TensorSource
from reflex_export.graph.node import Attribute, Node, append_node
from reflex_export.graph.onnx_model import Array, OnnxModel, StoredPart, StoredTensor, place_weights
from reflex_export.graph.opset import opset_of

__all__ = ["Array", "Attribute", "FloatType", "GraphBuilder", "OnnxModel", "Weights"]

Weights = Mapping[str, Array]
FloatType = Literal["FP32", "FP16"]

_DATATYPES: Final[Mapping[str, ir.DataType]] = {
    "BOOL": ir.DataType.BOOL,
    "FP16": ir.DataType.FLOAT16,
    "FP32": ir.DataType.FLOAT,
    "INT64": ir.DataType.INT64,
    "UINT8": ir.DataType.UINT8,
}


class GraphBuilder:
    """One graph under construction. A weight or constant is stored once, however many operators read it.

    Weights come from arrays, or from a checkpoint's files: those are read, and converted, when the model is written.
    """

    def __init__(
        self,
        name: str,
        weights: Weights | TensorSource | None = None,
        *,
        compute: FloatType = "FP32",
        attention: FloatType | None = None,
    ) -> None:
        self._compute: FloatType = compute
        self._attention: FloatType = attention or compute
        self._name = name
        self._weights: Weights | TensorSource = {} if weights is None else weights
        self._stored: dict[str, StoredTensor] = {}
        self._transposed: dict[str, ir.Value] = {}
        self._inputs: list[ir.Value] = []
        self._outputs: list[ir.Value] = []
        self._nodes: list[Node] = []
        self._initializers: dict[object, ir.Value] = {}
        self._input_configs: list[TensorConfig] = []
        self._output_configs: list[TensorConfig] = []

    @property
    def compute(self) -> FloatType:
        """The type of matrix products, and of weights, that are appended now."""
        return self._compute

    @contextmanager
    def attention_block(self) -> Iterator[None]:
        """What is appended inside computes in the type that the graph's attention has, mostly the one outside."""
        outside, self._compute = self._compute, self._attention
        try:
            yield
        finally:
            self._compute = outside

    def input(self, name: str, datatype: str, shape: Sequence[int]) -> ir.Value:
        """Declare an input; `datatype` is Triton's name for it and -1 in `shape` is any size."""
        config = TensorConfig(name=name, datatype=datatype, shape=tuple(shape))
        value = ir.Value(name=name, shape=_batched_shape(config), type=ir.TensorType(_DATATYPES[datatype]))
        self._inputs.append(value)
        self._input_configs.append(config)
        return value

    def output(self, value: ir.Value, name: str, datatype: str, shape: Sequence[int]) -> None:
        """Give `value` its public name; it must be an operator's result, and no output yet."""
        config = TensorConfig(name=name, datatype=datatype, shape=tuple(shape))
        value.name, value.type, value.shape = name, ir.TensorType(_DATATYPES[datatype]), _batched_shape(config)
        self._outputs.append(value)
        self._output_configs.append(config)

    def weight(self, name: str, datatype: FloatType | None = None) -> ir.Value:
        """The weight of that name, loaded on its first use.

        An array keeps its type; a checkpoint's tensor becomes `datatype`, or what the graph computes in. An array that
        is missing is a `KeyError`, a tensor a `CheckpointError`.
        """
        weights = self._weights
        if not isinstance(weights, Mapping):
            return self.derived(name, weights.shape(name), lambda: weights.load(name), datatype)
        if name not in self._initializers:
            self._initializers[name] = _initializer(name, weights[name])
        return self._initializers[name]

    def transposed_weight(self, name: str, datatype: FloatType | None = None) -> ir.Value:
        """A linear weight that is stored [out, in], as [in, out]. The bytes stay as they are: a runtime folds it."""
        if name not in self._transposed:
            self._transposed[name] = self.op("Transpose", self.weight(name, datatype), perm=[1, 0])
        return self._transposed[name]

    def derived(
        self, name: str, shape: Sequence[int], load: Callable[[], Array], datatype: FloatType | None = None
    ) -> ir.Value:
        """A weight that is made from the checkpoint's: `load` is called when the model is written."""
        return self._keep(name, (StoredPart(name, tuple(shape), load),), datatype)

    def merged(self, name: str, stored: Mapping[str, float], datatype: FloatType | None = None) -> ir.Value:
        """The rows of several weights of the checkpoint, each times its factor, as one weight with a name of its own.

        They are read when the model is written, one after the other: merging takes no memory.
        """
        parts = (
            StoredPart(part, self.shape(part), partial(self._load, part), factor) for part, factor in stored.items()
        )
        return self._keep(name, tuple(parts), datatype)

    def tensor(self, name: str) -> Array:
        """A weight's content as float32, for what is computed while the graph is built."""
        return self._load(name).astype(np.float32)

    def shape(self, name: str) -> tuple[int, ...]:
        """A weight's shape in the checkpoint."""
        weights = self._weights
        return weights[name].shape if isinstance(weights, Mapping) else weights.shape(name)

    def halve(self, value: ir.Value) -> ir.Value:
        """FP32 to the type that the graph computes in."""
        return value if self.compute == "FP32" else self.op("Cast", value, to=int(ir.DataType.FLOAT16))

    def widen(self, value: ir.Value) -> ir.Value:
        """The type that the graph computes in to FP32."""
        return value if self.compute == "FP32" else self.op("Cast", value, to=int(ir.DataType.FLOAT))

    def constant(self, array: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> ir.Value:
        """A constant that is no weight; equal ones are one."""
        content = np.asarray(array, dtype)
        key = (content.dtype.str, content.shape, content.tobytes())
        if key not in self._initializers:
            self._initializers[key] = _initializer(f"c{len(self._initializers)}", content)
        return self._initializers[key]

    def ints(self, *values: int) -> ir.Value:
        """A one-dimensional INT64 constant: shapes, axes, sizes."""
        return self.constant(values, np.int64)

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: Attribute) -> ir.Value:
        """Append an operator with one output."""
        return self.op_n(op_type, 1, *inputs, **attributes)[0]

    def op_n(
        self, op_type: str, output_count: int, *inputs: ir.Value | None, **attributes: Attribute
    ) -> tuple[ir.Value, ...]:
        """Append an operator with several outputs. Names are short because an unrolled loop has thousands."""
        prefix = f"v{len(self._nodes)}"
        names = [prefix] if output_count == 1 else [f"{prefix}.{index}" for index in range(output_count)]
        outputs = tuple(ir.Value(name=name) for name in names)
        self._nodes.append(Node(op_type, inputs, outputs, attributes))
        return outputs

    def build(self) -> OnnxModel:
        """Serialise; the same calls give the same bytes. Large weights stay outside: see `OnnxModel`."""
        opset, ir_version = opset_of(self._nodes)
        external = place_weights(self._stored.values(), self._initializers)
        graph = ir.Graph(
            self._inputs,
            self._outputs,
            nodes=(),
            initializers=list(self._initializers.values()),
            opset_imports={"": opset},
            name=self._name,
        )
        model = ir.serde.serialize_model(ir.Model(graph, ir_version=ir_version, producer_name="reflex"))
        for number, node in enumerate(self._nodes):
            append_node(model.graph, f"n{number}", node)
        content = model.SerializeToString(deterministic=True)
        return OnnxModel(content, tuple(self._input_configs), tuple(self._output_configs), external)

    def _load(self, name: str) -> Array:
        weights = self._weights
        loaded: Array = weights[name] if isinstance(weights, Mapping) else weights.load(name)
        return loaded

    def _keep(self, name: str, parts: tuple[StoredPart, ...], datatype: FloatType | None) -> ir.Value:
        wanted = _DATATYPES[datatype or self.compute]
        if name not in self._initializers:
            self._stored[name] = stored = StoredTensor(name, wanted, parts)
            self._initializers[name] = stored.value()
        if self._stored[name].datatype != wanted:
            raise ValueError(f"{name} is stored as {self._stored[name].datatype}, not once more as {wanted}")
        return self._initializers[name]


def _initializer(name: str, array: Array) -> ir.Value:
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
    return ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)


def _batched_shape(config: TensorConfig) -> ir.Shape:
    dims = (f"{config.name}.{axis}" if size == -1 else size for axis, size in enumerate(config.shape))
    return ir.Shape(["batch", *dims])
