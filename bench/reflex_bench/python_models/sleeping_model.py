"""A model of the nonce policy that takes as long as it is told, by batch, on a GPU that it shares with others.

Parameters of config.pbtxt: `role` (`encoder` or `denoise`), `batch_ms`, milliseconds of a batch of 1, 2, ... as JSON,
and `gpu`, a file that is locked meanwhile. Triton's stub runs this file, copied out of its package: standard library
and NumPy only.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

HORIZON, ACTION_DIM = 50, 7


class TritonPythonModel:
    """Answers like the ONNX graph that it stands in for, after the time of its batch."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the parameters once."""
        parameters = json.loads(args["model_config"])["parameters"]
        options = {key: value["string_value"] for key, value in parameters.items()}
        self._batch_ms = json.loads(options["batch_ms"])
        self._answer = _denoised if options["role"] == "denoise" else _encoded
        self._gpu = os.open(options["gpu"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def execute(self, requests: list[Any]) -> list[Any]:
        """The whole batch at once."""
        fcntl.flock(self._gpu, fcntl.LOCK_EX)
        try:
            time.sleep(self._batch_ms[len(requests) - 1] / 1000)
        finally:
            fcntl.flock(self._gpu, fcntl.LOCK_UN)
        return [self._answer(request) for request in requests]


def _encoded(request: Any) -> Any:  # noqa: ANN401
    state, red = _input(request, "state"), _input(request, "red")
    folded = np.zeros((len(state), ACTION_DIM), np.float32)
    folded[:, :2] = state[:, :2]
    folded[:, 2] = np.where(_input(request, "camera_mask")[:, 0], red[:, 0], 0)
    return pb_utils.InferenceResponse([pb_utils.Tensor("folded", folded)])


def _denoised(request: Any) -> Any:  # noqa: ANN401
    actions = np.repeat(_input(request, "folded")[:, None, :], HORIZON, axis=1)
    return pb_utils.InferenceResponse([pb_utils.Tensor("actions", actions)])


def _input(request: Any, name: str) -> np.ndarray:  # noqa: ANN401
    return pb_utils.get_input_tensor_by_name(request, name).as_numpy()
