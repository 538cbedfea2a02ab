"""The backend `onnxruntime` of the embedded Triton: loads a model's ONNX file and runs it on the CPU.

Stands in for Triton's native backend of that name and takes the same config.pbtxt. Runs inside Triton's Python stub:
no import of ours. Requests of a batch are concatenated along the batch axis, run once and split again; when a batch
fails, its requests are run one by one, so that only the bad one gets an error.

Parameters of a model's config that it knows: `intra_op_thread_count`, `inter_op_thread_count`, and every `session.*`
entry of ONNX Runtime's session options (`session.intra_op.allow_spinning` is "0" unless set).
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

DATATYPES = {
    "TYPE_BOOL": "tensor(bool)",
    "TYPE_UINT8": "tensor(uint8)",
    "TYPE_UINT16": "tensor(uint16)",
    "TYPE_UINT32": "tensor(uint32)",
    "TYPE_UINT64": "tensor(uint64)",
    "TYPE_INT8": "tensor(int8)",
    "TYPE_INT16": "tensor(int16)",
    "TYPE_INT32": "tensor(int32)",
    "TYPE_INT64": "tensor(int64)",
    "TYPE_FP16": "tensor(float16)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_FP64": "tensor(double)",
}


class TritonPythonModel:
    """One instance of one model; Triton calls the methods, one at a time."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model; a `TritonModelException` becomes the reason of Triton's load error."""
        config = json.loads(args["model_config"])
        path = _model_file(config, Path(args["model_repository"]) / args["model_version"])
        self._session = _load(path, _session_options(config))
        _check(config["input"], self._session.get_inputs(), "input", config["max_batch_size"])
        _check(config["output"], self._session.get_outputs(), "output", config["max_batch_size"])
        self._output_names = [output["name"] for output in config["output"]]
        self._batches = config["max_batch_size"] > 0

    def execute(self, requests: list) -> list:
        """Answer every request, in order; each answer is tensors or an error of its own."""
        feeds = [{tensor.name(): tensor.as_numpy() for tensor in request.inputs()} for request in requests]
        if len(requests) == 1 or not self._batches:
            return [self._answer(feed) for feed in feeds]
        answers = [None] * len(requests)
        for members in _same_shapes(feeds):
            for index, answer in zip(members, self._answer_batch([feeds[i] for i in members]), strict=True):
                answers[index] = answer
        return answers

    def _answer(self, feed: dict[str, np.ndarray]) -> "pb_utils.InferenceResponse":
        try:
            return self._response(self._session.run(self._output_names, feed))
        except Exception as exc:  # noqa: BLE001 - the boundary to Triton: ONNX Runtime raises classes without a root
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"ONNX Runtime: {_reason(exc)}"))

    def _answer_batch(self, feeds: list[dict[str, np.ndarray]]) -> list:
        if len(feeds) == 1:
            return [self._answer(feeds[0])]
        sizes = [next(iter(feed.values())).shape[0] for feed in feeds]
        whole = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
        try:
            outputs = self._session.run(self._output_names, whole)
        except Exception:  # noqa: BLE001 - which request is to blame shows when each runs alone
            return [self._answer(feed) for feed in feeds]
        # An output without the batch axis cannot be split; alone, each request gets its own.
        if any(output.ndim == 0 or output.shape[0] != sum(sizes) for output in outputs):
            return [self._answer(feed) for feed in feeds]
        ends = np.cumsum(sizes)
        return [
            self._response([output[end - size : end] for output in outputs])
            for size, end in zip(sizes, ends, strict=True)
        ]

    def _response(self, outputs: list[np.ndarray]) -> "pb_utils.InferenceResponse":
        tensors = [pb_utils.Tensor(name, value) for name, value in zip(self._output_names, outputs, strict=True)]
        return pb_utils.InferenceResponse(tensors)


def _same_shapes(feeds: list[dict[str, np.ndarray]]) -> list[list[int]]:
    """Indices of the requests that may run together: the same inputs, equal but for the batch axis."""
    groups: dict[tuple, list[int]] = {}
    for index, feed in enumerate(feeds):
        key = tuple(sorted((name, value.shape[1:]) for name, value in feed.items()))
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def _model_file(config: dict, folder: Path) -> Path:
    path = folder / (config.get("default_model_filename") or "model.onnx")
    if not path.is_file():
        raise pb_utils.TritonModelException(f"{path} is missing; export the policy again")
    return path


def _session_options(config: dict) -> onnxruntime.SessionOptions:
    parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count") or _threads(config))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count") or 1)
    # Spinning makes a pool a little quicker and takes whole cores from the frontend.
    entries = {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"}
    entries |= {name: value for name, value in parameters.items() if name.startswith("session.")}
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    return options


def _threads(config: dict) -> int:
    """What the frontend allotted to a model, shared among the model's instances."""
    allotted = int(os.environ.get("REFLEX_ONNX_THREADS") or len(os.sched_getaffinity(0)))
    instances = sum(group.get("count", 1) for group in config.get("instance_group", []))
    return max(1, allotted // max(1, instances))


def _load(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise pb_utils.TritonModelException(f"{path} cannot be loaded: {_reason(exc)}") from exc


def _reason(error: Exception) -> str:
    """Without the `[ONNXRuntimeError] : 7 : ` in front."""
    return str(error).removeprefix("[ONNXRuntimeError] : ").partition(" : ")[2] or str(error)


def _check(wanted: list[dict], found: list, kind: str, max_batch_size: int) -> None:
    """Compare the config's tensors with the model's, name by name, so that a wrong export fails at load."""
    by_name = {tensor.name: tensor for tensor in found}
    for tensor in wanted:
        name = tensor["name"]
        if name not in by_name:
            offered = ", ".join(sorted(by_name))
            raise pb_utils.TritonModelException(f"config.pbtxt has {kind} '{name}', the model has only {offered}")
        if DATATYPES.get(tensor["data_type"]) != by_name[name].type:
            raise pb_utils.TritonModelException(
                f"{kind} '{name}' is {tensor['data_type']} in config.pbtxt and {by_name[name].type} in the model"
            )
        shape = by_name[name].shape
        if kind == "input" and max_batch_size > 1 and shape and isinstance(shape[0], int) and shape[0] > 0:
            raise pb_utils.TritonModelException(
                f"max_batch_size is {max_batch_size}, but the first axis of {kind} '{name}' is fixed at {shape[0]}"
            )
