"""The backend `onnxruntime` of the embedded Triton: loads a model's ONNX file and runs it on the CPU.

Stands in for Triton's native backend of that name and takes the same config.pbtxt. Runs inside Triton's Python stub:
no import of ours but the modules beside it, whose names begin with `reflex_` because the stub looks for a module in
the environment first.
"""

import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from reflex_batch import Feed, Outcome, run_each, run_together
from reflex_session import LoadError, open_session, reason_of


class TritonPythonModel:
    """One instance of one model; Triton calls the methods, one at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model; a `TritonModelException` becomes the reason of Triton's load error."""
        config = json.loads(args["model_config"])
        try:
            self._session = open_session(config, Path(args["model_repository"]) / args["model_version"])
        except LoadError as exc:
            raise pb_utils.TritonModelException(str(exc)) from exc
        self._output_names = [output["name"] for output in config["output"]]
        self._run_all = run_together if config["max_batch_size"] > 0 else run_each

    def execute(self, requests: list) -> list:
        """Answer every request, in order; each answer is tensors or an error of its own."""
        feeds = [{tensor.name(): tensor.as_numpy() for tensor in request.inputs()} for request in requests]
        return [self._response(outcome) for outcome in self._run_all(self._run, feeds)]

    def _run(self, feed: Feed) -> list[np.ndarray]:
        return self._session.run(self._output_names, feed)

    def _response(self, outcome: Outcome) -> "pb_utils.InferenceResponse":
        if isinstance(outcome, Exception):
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"ONNX Runtime: {reason_of(outcome)}"))
        tensors = [pb_utils.Tensor(name, value) for name, value in zip(self._output_names, outcome, strict=True)]
        return pb_utils.InferenceResponse(tensors)
