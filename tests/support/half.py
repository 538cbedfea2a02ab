"""Running an FP16 graph so that every FP16 value is really rounded to FP16.

ONNX Runtime has few FP16 kernels for CPUs: it computes in FP32 between casts, and removes casts that then meet, so
that most activations of an FP16 graph are never rounded. A GPU rounds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import onnx
import onnxruntime

from reflex_export.families.common import FamilyGraphs
from reflex_export.graph import OnnxModel

__all__ = ["run_graphs_rounded"]

Array = npt.NDArray[Any]


def run_graphs_rounded(graphs: FamilyGraphs, steps: int, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Preprocess, encoder and denoise one after the other; every tensor that was there."""
    known = dict(feeds)
    for model in (graphs.preprocess, graphs.encoder, graphs.denoise[steps]):
        known.update(_run(model, known))
    return known


def _run(model: OnnxModel, feeds: Mapping[str, Array]) -> dict[str, Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = _with_barriers(model.content)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    answers = session.run(names, {value.name: feeds[value.name] for value in session.get_inputs()})
    return dict(zip(names, answers, strict=True))


def _with_barriers(content: bytes) -> bytes:
    """An Identity after every operator: casts do not meet across one, as long as nothing optimises it away."""
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
