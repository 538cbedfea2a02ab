"""What a build needs to know of an ONNX file without its weights: inputs, content hash, the files it consists of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError

from reflex_export.engines.errors import EngineError

__all__ = ["GraphInput", "OnnxFile", "read_onnx"]

DATATYPES: Final[Mapping[int, str]] = {
    onnx.TensorProto.BOOL: "BOOL",
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.BFLOAT16: "BF16",
}
"""ONNX's types under Triton's names."""


@dataclass(frozen=True)
class GraphInput:
    """One input; `shape` includes the batch axis, and -1 is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class OnnxFile:
    """A graph and its weights, which may lie in other files of the same folder."""

    path: Path
    inputs: tuple[GraphInput, ...]
    sha256: str
    """Over the graph's file and every file with its weights."""


def read_onnx(path: Path) -> OnnxFile:
    """Read the graph and hash it with its weights (about a second for each gigabyte); `EngineError` says what is wrong.

    Weights in other files must lie in the graph's folder or below.
    """
    try:
        # The graph alone; its external weights stay on disk.
        model = onnx.load(path, load_external_data=False)
    except OSError as exc:
        raise EngineError(f"{path} cannot be read ({exc.strerror}); export the policy again") from exc
    except (DecodeError, UnicodeDecodeError) as exc:
        raise EngineError(f"{path} is no ONNX file, or cut off; export the policy again") from exc
    if not model.graph.output:
        raise EngineError(f"{path} is no ONNX file: it has no output; export the policy again")
    weights = [_inside(path, location) for location in sorted(set(_external_locations(model.graph)))]
    initializers = {initializer.name for initializer in model.graph.initializer}
    inputs = tuple(_input(value) for value in model.graph.input if value.name not in initializers)
    return OnnxFile(path, inputs, _content_hash(path, weights))


def _input(value: onnx.ValueInfoProto) -> GraphInput:
    tensor = value.type.tensor_type
    if tensor.elem_type not in DATATYPES:
        type_name = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise EngineError(f"the graph's input {value.name} has the type {type_name}, which no engine takes")
    shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim)
    return GraphInput(value.name, DATATYPES[tensor.elem_type], shape)


def _external_locations(graph: onnx.GraphProto) -> Iterator[str]:
    tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute if a.HasField("t"))]
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield next(entry.value for entry in tensor.external_data if entry.key == "location")


def _inside(path: Path, location: str) -> Path:
    folder = path.parent.resolve()
    weights = (folder / location).resolve()
    if not weights.is_relative_to(folder):
        raise EngineError(f"{path} keeps weights at {location}, outside its own folder; export the policy again")
    return weights


def _content_hash(path: Path, weights: list[Path]) -> str:
    total = hashlib.sha256()
    for file in (path, *weights):
        try:
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").digest()
        except OSError as exc:
            raise EngineError(f"{file}, weights of {path}, cannot be read ({exc.strerror}); export again") from exc
        total.update(file.name.encode() + b"\0" + digest)
    return total.hexdigest()
