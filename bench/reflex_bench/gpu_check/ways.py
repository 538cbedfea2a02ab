"""The ways of running a graph that a machine may have, and sessions of each.

Kept small and apart, so that it can be replaced by what the server itself uses.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnxruntime

from reflex.gpus import only_one
from reflex_bench.gpu_check.rows import told
from reflex_export.graph.graph import GraphBuilder

__all__ = ["CARD_WAYS", "Way", "WayError", "device_of", "make_session", "try_way"]

Way = Literal["cpu", "cuda", "trt-rtx"]
CARD_WAYS: Final[Sequence[Way]] = ("cuda", "trt-rtx")
PLUGIN: Final = "onnxruntime_ep_nv_tensorrt_rtx"
CUDA: Final = "CUDAExecutionProvider"


class WayError(Exception):
    """This way does not work here; the message says why and what to install."""


def device_of(way: Way) -> str:
    """Where its tensors lie, in ONNX Runtime's word."""
    return "cpu" if way == "cpu" else "cuda"


def make_session(path: Path, way: Way, *, cuda_graph: bool = False) -> onnxruntime.InferenceSession:
    """`WayError` when the way does not work here, or not with this graph. FP32 products are FP32: no TF32."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return MAKERS[way](path, options, cuda_graph)
    except WayError:
        raise
    except Exception as exc:  # ONNX Runtime's own derive from nothing nearer
        raise WayError(f"{way}: {told(exc)}") from exc


def try_way(way: Way) -> None:
    """`WayError` unless a sum comes out right."""
    with tempfile.TemporaryDirectory(prefix="reflex-gpu-check-") as folder:
        g = GraphBuilder("sum")
        value = g.input("value", "FP32", (4,))
        g.output(g.op("Add", value, value), "twice", "FP32", (4,))
        g.build().save(Path(folder))
        session = make_session(next(Path(folder).glob("*.onnx")), way)
        try:
            [twice] = session.run(["twice"], {"value": np.ones((1, 4), np.float32)})
        except Exception as exc:
            raise WayError(f"{way}: {told(exc)}") from exc
    if not np.array_equal(twice, np.full((1, 4), 2, np.float32)):
        raise WayError(f"{way}: 1 + 1 comes out as {twice[0, 0]}; do not serve on this machine")


def _cpu(path: Path, options: Any, _cuda_graph: bool) -> onnxruntime.InferenceSession:  # noqa: ANN401, FBT001
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _cuda(path: Path, options: Any, cuda_graph: bool) -> onnxruntime.InferenceSession:  # noqa: ANN401, FBT001
    if CUDA not in onnxruntime.get_available_providers():
        raise WayError(f"cuda: this onnxruntime has no CUDA; {only_one('gpu')}")
    with contextlib.suppress(Exception):
        importlib.import_module("torch")  # its CUDA libraries are then found
    with contextlib.suppress(Exception):
        onnxruntime.preload_dlls()
    chosen = {"use_tf32": "0", "enable_cuda_graph": str(int(cuda_graph))}
    # Its own fallback would compute on the processor, with other options, and be measured as if it were the card.
    session = onnxruntime.InferenceSession(str(path), options, providers=[(CUDA, chosen)], enable_fallback=0)
    if CUDA not in session.get_providers():
        raise WayError(
            "cuda: ONNX Runtime fell back to the processor; it needs a driver of CUDA 13 (580 or newer), cuBLAS 13 and "
            "cuDNN 9"
        )
    return session


def _trt_rtx(path: Path, options: Any, cuda_graph: bool) -> onnxruntime.InferenceSession:  # noqa: ANN401, FBT001
    try:
        plugin = importlib.import_module(PLUGIN)
    except ImportError as exc:
        raise WayError("trt-rtx: pip install onnxruntime-ep-nv-tensorrt-rtx for its plugin") from exc
    name = plugin.get_ep_name()
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not devices:
        onnxruntime.register_execution_provider_library(name, plugin.get_library_path())
        devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not devices:
        raise WayError("trt-rtx: TensorRT for RTX takes none of the cards here (docs/gpu.md says which it takes)")
    options.add_provider_for_devices(devices[:1], {"enable_cuda_graph": str(int(cuda_graph))})
    return onnxruntime.InferenceSession(str(path), options, enable_fallback=0)


MAKERS: Final[Mapping[Way, Callable[[Path, Any, bool], onnxruntime.InferenceSession]]] = {
    "cpu": _cpu,
    "cuda": _cuda,
    "trt-rtx": _trt_rtx,
}
