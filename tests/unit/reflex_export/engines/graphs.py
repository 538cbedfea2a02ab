"""Small ONNX graphs for engine tests, written with onnx's own helper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

__all__ = ["attention_block", "linear", "save"]

HEADS, TOKENS, WIDTH = 4, 16, 64


def save(
    path: Path,
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: dict[str, npt.NDArray[np.generic]],
    *,
    external: bool = False,
) -> Path:
    """Write a model of opset 20; `external` puts every weight into `weights.bin` beside it."""
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    if external:
        onnx.save_model(
            model, path, save_as_external_data=True, location="weights.bin", size_threshold=0, convert_attribute=False
        )
    else:
        onnx.save_model(model, path)
    return path


def linear(path: Path, dtype: npt.DTypeLike = np.float32, *, seed: int = 0, external: bool = False) -> Path:
    """y = x @ weight, x [batch, 8]."""
    weight = np.random.RandomState(seed).standard_normal((8, 8)).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return save(
        path,
        [helper.make_node("MatMul", ["x", "weight"], ["y"], name="product")],
        [helper.make_tensor_value_info("x", kind, ["batch", 8])],
        [helper.make_tensor_value_info("y", kind, ["batch", 8])],
        {"weight": weight},
        external=external,
    )


def attention_block(path: Path) -> Path:
    """FP16 attention of x FP32 [batch, 16, 64] with the FP32 islands of a transformer: RMS norm, softmax, residual."""
    random = np.random.RandomState(0)
    weights: dict[str, npt.NDArray[np.generic]] = {
        "qkv": (random.standard_normal((WIDTH, 3 * WIDTH)) * 0.1).astype(np.float16),
        "out": (random.standard_normal((WIDTH, WIDTH)) * 0.1).astype(np.float16),
        "gain": np.ones(WIDTH, np.float32),
        "two": np.array(2, np.float32),
        "epsilon": np.array(1e-6, np.float32),
        "scale": np.array((WIDTH // HEADS) ** -0.5, np.float16),
        "last": np.array([-1], np.int64),
        "by_head": np.array([0, TOKENS, 3 * HEADS, WIDTH // HEADS], np.int64),
        "merged": np.array([0, TOKENS, WIDTH], np.int64),
    }
    shape: list[str | int | None] = ["batch", TOKENS, WIDTH]
    return save(
        path,
        [*_rms_norm(), *_attention()],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        weights,
    )


def _rms_norm() -> list[NodeProto]:
    node = helper.make_node
    return [
        node("Pow", ["x", "two"], ["squares"], name="norm.square"),
        node("ReduceMean", ["squares", "last"], ["mean"], keepdims=1, name="norm.mean"),
        node("Add", ["mean", "epsilon"], ["shifted"], name="norm.shift"),
        node("Sqrt", ["shifted"], ["root"], name="norm.root"),
        node("Div", ["x", "root"], ["unit"], name="norm.divide"),
        node("Mul", ["unit", "gain"], ["normed"], name="norm.gain"),
        node("Cast", ["normed"], ["normed16"], to=TensorProto.FLOAT16, name="norm.to_half"),
    ]


def _attention() -> list[NodeProto]:
    node = helper.make_node
    return [
        node("MatMul", ["normed16", "qkv"], ["mixed"], name="attention.qkv"),
        node("Reshape", ["mixed", "by_head"], ["grid"], name="attention.grid"),
        node("Transpose", ["grid"], ["heads"], perm=[0, 2, 1, 3], name="attention.heads"),
        node("Split", ["heads"], ["query", "key", "value"], axis=1, num_outputs=3, name="attention.split"),
        node("Transpose", ["key"], ["turned"], perm=[0, 1, 3, 2], name="attention.turn"),
        node("Mul", ["query", "scale"], ["scaled"], name="attention.scale"),
        node("MatMul", ["scaled", "turned"], ["scores"], name="attention.scores"),
        node("Cast", ["scores"], ["scores32"], to=TensorProto.FLOAT, name="softmax.to_float"),
        node("Softmax", ["scores32"], ["weights32"], axis=-1, name="softmax"),
        node("Cast", ["weights32"], ["weights16"], to=TensorProto.FLOAT16, name="softmax.to_half"),
        node("MatMul", ["weights16", "value"], ["attended"], name="attention.attend"),
        node("Transpose", ["attended"], ["back"], perm=[0, 2, 1, 3], name="attention.back"),
        node("Reshape", ["back", "merged"], ["flat"], name="attention.merge"),
        node("MatMul", ["flat", "out"], ["projected"], name="attention.out"),
        node("Cast", ["projected"], ["projected32"], to=TensorProto.FLOAT, name="residual.to_float"),
        node("Add", ["x", "projected32"], ["y"], name="residual"),
    ]
