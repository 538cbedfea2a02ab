"""The modules of the embedded Triton's backend, as its stub imports them: by their own names, from their own folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import reflex_frontend.embedded

__all__ = ["BACKEND", "backend_module", "doubling", "model_config"]

BACKEND = Path(reflex_frontend.embedded.__file__).parent / "backends" / "onnxruntime"


def backend_module(name: str) -> Any:
    if str(BACKEND) not in sys.path:
        sys.path.append(str(BACKEND))
    return importlib.import_module(name)


def doubling(path: Path, *, width: int = 4, batched: bool = True) -> Path:
    """A model that doubles `x` to `y`, by a product of matrices."""
    shape: list[str | int | None] = ["batch", width] if batched else [1, width]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    twice = numpy_helper.from_array(2 * np.eye(width, dtype=np.float32), "twice")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "twice"], ["y"])], "double", values[:1], values[1:], [twice]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return path


def model_config(*, dims: Sequence[int] = (4,), max_batch_size: int = 4, **more: object) -> Mapping[str, Any]:
    """The config.pbtxt of such a model, as Triton hands it to a backend."""
    sizes = [str(size) for size in dims]
    return {
        "name": "double",
        "max_batch_size": max_batch_size,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": sizes}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": sizes}],
        **more,
    }
