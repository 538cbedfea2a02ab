"""Running FP16 graphs so that every FP16 value is really rounded to FP16, as a GPU rounds it.

ONNX Runtime has few FP16 kernels for CPUs: it computes in FP32 between casts, and removes casts that then meet, so
that most activations of an FP16 graph are never rounded, and an FP16 policy looks better than it is. Here an Identity
stands after every operator, which keeps the casts apart, and no optimisation may remove it. Products are summed in
FP32, as tensor cores sum them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

import onnx
import onnxruntime

from reflex_export.graph.graph import Array

__all__ = ["RoundedRunner", "Runner", "rounding_session"]

_DATA_FOLDER: Final = "session.model_external_initializers_file_folder_path"


class Runner(Protocol):
    """What answers like a policy: a `PolicyRunner` or a `RoundedRunner`."""

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors in and out by name, each with its batch axis."""


class RoundedRunner:
    """What `parity.PolicyRunner` does, without ONNX Runtime's extra digits; FP32 graphs answer as ever, but slower."""

    def __init__(self, models: Iterable[Path]) -> None:
        self._sessions = [rounding_session(path.read_bytes(), path.parent) for path in models]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors in and out by name, each with its batch axis."""
        known = dict(inputs)
        for session in self._sessions:
            names = [value.name for value in session.get_outputs()]
            feeds = {value.name: known[value.name] for value in session.get_inputs()}
            known.update(zip(names, session.run(names, feeds), strict=True))
        return known


def rounding_session(content: bytes, folder: Path | None = None) -> onnxruntime.InferenceSession:
    """A session on one thread for a serialised graph; `folder` holds its weights where they are a second file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if folder is not None:
        options.add_session_config_entry(_DATA_FOLDER, str(folder))
    return onnxruntime.InferenceSession(_with_barriers(content), options, providers=["CPUExecutionProvider"])


def _with_barriers(content: bytes) -> bytes:
    model = onnx.load_from_string(content)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        results = list(node.output)
        node.output[:] = [f"raw.{name}" for name in results]
        nodes += [node, *(onnx.helper.make_node("Identity", [f"raw.{name}"], [name]) for name in results)]
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    content_with_barriers: bytes = model.SerializeToString()
    return content_with_barriers
