"""A finished graph: small ones are one file, large ones keep their weights in a second, which is written as a stream.

A protobuf message cannot exceed 2 GB, and a checkpoint's weights must not pass through memory as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from reflex.model_repository import MODEL_FILE
from reflex.policy_config import TensorConfig
from reflex_export.errors import CheckpointError
from reflex_export.graph.float16 import HalfConverter
from reflex_export.graph.streaming import stream_to_disk
from reflex_export.reading.mapping import release

__all__ = ["DATA_FILE", "Array", "ExternalTensor", "OnnxModel", "StoredPart", "StoredTensor", "place_weights"]

Array = npt.NDArray[Any]

DATA_FILE: Final = f"{MODEL_FILE}.data"
_EXTERNAL_FROM_BYTES: Final = 64 << 20
"""A model whose stored weights are smaller than this is one file."""
_ALIGNMENT_BYTES: Final = 4096
"""A page: runtimes map the file into memory instead of reading it."""
_CHUNK_ELEMENTS: Final = 1 << 20
"""What is in memory at once is some twenty of these, however large the tensor."""


@dataclass(frozen=True)
class StoredPart:
    """What is read from the checkpoint as one array when it is written."""

    name: str
    shape: tuple[int, ...]
    load: Callable[[], Array]
    factor: float = 1.0
    """What every number is multiplied by; a power of two changes no digit."""


@dataclass(frozen=True)
class StoredTensor:
    """A weight of one part, or of several whose rows follow each other."""

    name: str
    datatype: ir.DataType
    parts: tuple[StoredPart, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        first, *others = (part.shape for part in self.parts)
        return (first[0] + sum(shape[0] for shape in others), *first[1:]) if others else first

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.datatype.bitwidth // 8

    def value(self) -> ir.Value:
        """The graph's initialiser; it gets its content, or a place for it, in `place_weights`."""
        return ir.Value(name=self.name, shape=ir.Shape(self.shape), type=ir.TensorType(self.datatype))

    def chunks(self, converter: HalfConverter) -> Iterator[Array]:
        """The content in the stored type, flat, a few megabytes at a time; what has been read needs no memory."""
        for part in self.parts:
            yield from self._part_chunks(part, converter)

    def content(self, converter: HalfConverter) -> ir.TensorProtocol:
        """The whole tensor, in memory."""
        flat = np.concatenate([*self.chunks(converter), np.zeros(0, self.datatype.numpy())])
        return ir.Tensor(flat.reshape(self.shape), name=self.name)

    def _part_chunks(self, part: StoredPart, converter: HalfConverter) -> Iterator[Array]:
        loaded = part.load()
        if loaded.shape != part.shape:
            raise CheckpointError(f"{part.name} has the shape {loaded.shape}, expected {part.shape}")
        flat = loaded.reshape(-1)
        for start in range(0, flat.size, _CHUNK_ELEMENTS):
            read = flat[start : start + _CHUNK_ELEMENTS]
            scaled = read if part.factor == 1.0 else read.astype(np.float32) * np.float32(part.factor)
            yield self._converted(scaled, part.name, converter)
            release(read)

    def _converted(self, array: Array, name: str, converter: HalfConverter) -> Array:
        target = self.datatype.numpy()
        if array.dtype == target:
            return np.ascontiguousarray(array)
        wide = array.astype(np.float32, copy=False)
        if target != np.float16:
            return np.ascontiguousarray(wide.astype(target, copy=False))
        try:
            return converter.convert(wide)
        except OverflowError:
            message = f"{name} has values beyond float16's range (65504): export with --precision fp32"
            raise CheckpointError(message) from None


@dataclass(frozen=True)
class ExternalTensor:
    """Where a weight lies in the data file."""

    tensor: StoredTensor
    offset: int


@dataclass(frozen=True)
class OnnxModel:
    """A serialised graph and what goes in and comes out of it (shapes without the batch axis)."""

    content: bytes
    inputs: tuple[TensorConfig, ...]
    outputs: tuple[TensorConfig, ...]
    external: tuple[ExternalTensor, ...] = ()
    """Weights that `content` refers to in `DATA_FILE` beside it; empty when it has them all."""

    @property
    def data_bytes(self) -> int:
        """The size of the data file."""
        return max((entry.offset + entry.tensor.nbytes for entry in self.external), default=0)

    def reads_the_data_of(self, other: OnnxModel) -> bool:
        """Whether both have their weights outside, the same ones in the same places."""
        mine, others = ([_place(entry) for entry in model.external] for model in (self, other))
        return bool(mine) and mine == others

    def save(self, folder: Path, on_bytes: Callable[[memoryview], object] = len) -> None:
        """Write model.onnx, and model.onnx.data when there is one; `on_bytes` sees everything written, in order."""
        (folder / MODEL_FILE).write_bytes(self.content)
        on_bytes(memoryview(self.content))
        if self.external:
            with (folder / DATA_FILE).open("wb") as file:
                stream_to_disk(file, _pieces(self.external), on_bytes)


def _place(entry: ExternalTensor) -> tuple[str, tuple[int, ...], ir.DataType, int]:
    return entry.tensor.name, entry.tensor.shape, entry.tensor.datatype, entry.offset


def place_weights(
    stored: Iterable[StoredTensor], initializers: Mapping[object, ir.Value]
) -> tuple[ExternalTensor, ...]:
    """Give the initialisers of a small model their content, those of a large one their place in the data file."""
    tensors = tuple(stored)
    if sum(tensor.nbytes for tensor in tensors) >= _EXTERNAL_FROM_BYTES:
        return tuple(_place_outside(tensors, initializers))
    converter = HalfConverter()
    for tensor in tensors:
        initializers[tensor.name].const_value = tensor.content(converter)
    return ()


def _place_outside(
    tensors: Iterable[StoredTensor], initializers: Mapping[object, ir.Value]
) -> Iterator[ExternalTensor]:
    offset = 0
    for tensor in tensors:
        initializers[tensor.name].const_value = ir.ExternalTensor(
            DATA_FILE, offset, tensor.nbytes, tensor.datatype, shape=ir.Shape(tensor.shape), name=tensor.name
        )
        yield ExternalTensor(tensor, offset)
        offset = _aligned(offset + tensor.nbytes)


def _pieces(entries: Iterable[ExternalTensor]) -> Iterator[memoryview]:
    """The data file from its beginning: every tensor, and the padding before it."""
    converter = HalfConverter()
    position = 0
    for entry in entries:
        if entry.offset > position:
            yield memoryview(bytes(entry.offset - position))
        for piece in entry.tensor.chunks(converter):
            yield memoryview(piece.view(np.uint8).data)
        position = entry.offset + entry.tensor.nbytes


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
