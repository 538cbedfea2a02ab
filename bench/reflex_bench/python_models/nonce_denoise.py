"""The nonce policy's denoise component for Triton's Python backend: slow or broken on purpose, switchable while served.

Parameters of config.pbtxt, all optional: `delay_ms`, `fault`, and `control_file`, a JSON file with the same two fields
that overrides them while it exists. It is read again whenever it changes. Triton's stub runs this file, copied out of
its package: standard library and NumPy only.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

HORIZON, ACTION_DIM = 50, 7


class TritonPythonModel:
    """Answers like the ONNX graph it stands in for, unless told otherwise."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the parameters once."""
        parameters = json.loads(args["model_config"]).get("parameters", {})
        options = {key: value["string_value"] for key, value in parameters.items()}
        self._initial = {"delay_ms": float(options.get("delay_ms", 0)), "fault": options.get("fault")}
        self._control_file = Path(options["control_file"]) if "control_file" in options else None
        self._behaviour = self._initial
        self._version = None

    def execute(self, requests: list[Any]) -> list[Any]:
        """Wait `delay_ms` once for the whole batch, then answer each request."""
        behaviour = self._current_behaviour()
        time.sleep(behaviour["delay_ms"] / 1000)
        if behaviour["fault"] == "exit":
            os._exit(1)
        return [_answer(request, behaviour["fault"]) for request in requests]

    def _current_behaviour(self) -> dict[str, Any]:
        if self._control_file is None:
            return self._initial
        try:
            status = self._control_file.stat()
            version = (status.st_mtime_ns, status.st_ino, status.st_size)
            if version != self._version:
                wanted = json.loads(self._control_file.read_text(encoding="utf-8"))
                self._behaviour = {"delay_ms": float(wanted.get("delay_ms") or 0), "fault": wanted.get("fault")}
                self._version = version
        except FileNotFoundError:
            self._behaviour, self._version = self._initial, None
        except ValueError:
            pass  # caught half written: the next call reads it again
        return self._behaviour


def _answer(request: Any, fault: str | None) -> Any:  # noqa: ANN401
    if fault == "error":
        return pb_utils.InferenceResponse(error=pb_utils.TritonError("fault injected by the nonce policy"))
    folded = pb_utils.get_input_tensor_by_name(request, "folded").as_numpy()
    horizon = HORIZON - 1 if fault == "wrong_shape" else HORIZON
    actions = np.repeat(folded[:, None, :], horizon, axis=1)
    if fault in ("nan", "inf"):
        actions[:, horizon // 2, ACTION_DIM - 1] = float(fault)
    return pb_utils.InferenceResponse([pb_utils.Tensor("actions", actions)])
