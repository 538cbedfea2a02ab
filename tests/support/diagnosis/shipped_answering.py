"""The graphs of the policy that ships, in this process: what depends on a picture alone is computed once for each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.utils import Extractor

from reflex.client import ReflexClient
from support.diagnosis.answering import client_by, pixels_of
from support.diagnosis.shipped import NAME, ROLES, Shipped, graph_file, repository_of

__all__ = ["shipped_client_of"]

PIXELS, STATE = "pixels.front", "state"


def shipped_client_of(setup: Shipped, folder: Path) -> ReflexClient:
    """For any number of requests; `folder` takes what is exported otherwise."""
    repository = repository_of(setup, folder)
    config = json.loads((repository / NAME / "reflex_config.json").read_text())
    return client_by(config, _InProcess(repository).run, setup.robot, setup.latency_s)


class _InProcess:
    def __init__(self, repository: Path) -> None:
        preprocess, encoder, denoise = (onnx.load(graph_file(repository, role)) for role in ROLES)
        cut = _of_pixels_alone(encoder)
        parts = Extractor(onnx.shape_inference.infer_shapes(encoder))
        outputs = [each.name for each in encoder.graph.output]
        self._looking = [_session(preprocess), _session(parts.extract_model([PIXELS], cut))]
        self._acting = [_session(parts.extract_model([*cut, STATE], outputs)), _session(denoise)]
        self._seen: dict[str, dict[str, Any]] = {}

    def run(self, body: dict[str, Any]) -> Any:
        """Actions [steps, axes]."""
        (told,) = body["images"].values()
        if told not in self._seen:
            self._seen[told] = _through(self._looking, {"image.front": pixels_of(told)[None]})
        held = _through(self._acting, self._seen[told] | {STATE: np.array([body["state"]], np.float32)})
        return held["actions"][0]


def _of_pixels_alone(encoder: onnx.ModelProto) -> list[str]:
    """What the steps that know of the state take from those that do not."""
    knows = {PIXELS: {PIXELS}, STATE: {STATE}}
    cut = set()
    for node in encoder.graph.node:
        found = set().union(*(knows.get(name, set()) for name in node.input))
        knows |= dict.fromkeys(node.output, found)
        if STATE in found:
            cut |= {name for name in node.input if knows.get(name) == {PIXELS}}
    return sorted(cut)


def _session(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.SerializeToString(), options)


def _through(sessions: list[onnxruntime.InferenceSession], held: dict[str, Any]) -> dict[str, Any]:
    for session in sessions:
        names = [each.name for each in session.get_outputs()]
        answer = session.run(None, {each.name: held[each.name] for each in session.get_inputs()})
        held = held | dict(zip(names, answer, strict=True))
    return held
