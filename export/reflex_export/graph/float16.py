"""Float32 to float16, rounded to the nearest and ties to even, as NumPy does it but at the speed of memory.

NumPy converts one number after the other: 13 GB of weights would take as long as everything else of an export together.
ONNX Runtime, which an export needs anyway, has the vector instructions of every processor.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime

__all__ = ["HalfConverter"]

_OPSET: Final = 20
_IR_VERSION: Final = 9
_INFINITY_BITS: Final = 0x7C00
"""Of a float16 without its sign; more is NaN."""
_SIGN_BIT: Final = 0x8000


class HalfConverter:
    """A session with one operator, Cast, made when it is first needed."""

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(_cast_model(), options, providers=["CPUExecutionProvider"])

    def convert(self, wide: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
        """A contiguous array; `OverflowError` when a finite number is beyond float16's range (65504)."""
        aligned = np.require(wide, requirements=("C", "A"))
        half: npt.NDArray[np.float16] = self._session.run(None, {"wide": aligned.reshape(-1)})[0].reshape(wide.shape)
        if _may_overflow(half) and bool(np.isfinite(wide[np.isinf(half)]).any()):
            raise OverflowError
        return half


def _may_overflow(half: npt.NDArray[np.float16]) -> bool:
    """Whether one is infinite or NaN: the largest patterns of either sign, seen without a copy of them all."""
    positive = half.view(np.int16).max(initial=0) >= _INFINITY_BITS
    return bool(positive or half.view(np.uint16).max(initial=0) >= _SIGN_BIT | _INFINITY_BITS)


def _cast_model() -> bytes:
    wide = ir.Value(name="wide", shape=ir.Shape(["n"]), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("Cast", [wide], {"to": int(ir.DataType.FLOAT16)})
    half = node.outputs[0]
    half.name, half.shape, half.type = "half", ir.Shape(["n"]), ir.TensorType(ir.DataType.FLOAT16)
    graph = ir.Graph([wide], [half], nodes=[node], opset_imports={"": _OPSET}, name="half")
    content: Any = ir.serde.serialize_model(ir.Model(graph, ir_version=_IR_VERSION)).SerializeToString()
    return bytes(content)
