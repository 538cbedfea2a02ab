"""Runs a policy's graphs one after the other with ONNX Runtime, as the ensemble does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnxruntime

from reflex_export.graph import Array, OnnxModel

__all__ = ["PolicyChain"]


class PolicyChain:
    """The sessions of a policy's models, on the CPU, with one thread: the answers are the same from run to run."""

    def __init__(self, models: Sequence[OnnxModel]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        self._sessions = [onnxruntime.InferenceSession(model.content, options, providers=providers) for model in models]

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Tensors in (each with its batch axis), every tensor of the chain out."""
        known = dict(tensors)
        for session in self._sessions:
            feed = {value.name: known[value.name] for value in session.get_inputs()}
            outputs = [value.name for value in session.get_outputs()]
            known.update(zip(outputs, session.run(outputs, feed), strict=True))
        return known
