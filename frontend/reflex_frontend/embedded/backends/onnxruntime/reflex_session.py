"""From a model's config.pbtxt and its graph file to a session of ONNX Runtime, on the CPU or on a GPU.

Parameters of the config that it knows: `intra_op_thread_count`, `inter_op_thread_count`, and every `session.*` entry of
ONNX Runtime's session options (`session.intra_op.allow_spinning` is "0" unless set).
"""

import os
import sys
from pathlib import Path

import onnxruntime
from reflex_bound import BoundSession, can_capture
from reflex_device import CPU, LoadError, device_of, open_on, reason_of

__all__ = ["LoadError", "open_session", "reason_of"]

CUDA_FILE = "model.cuda.onnx"
YES = {"1", "true", "yes", "on"}
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


def open_session(config: dict, folder: Path) -> onnxruntime.InferenceSession:
    """The model of `config`, whose version's folder that is; `LoadError` where the two do not agree.

    On a GPU it is a `BoundSession`, which runs as a session does.
    """
    path = _model_file(config, folder)
    written = folder.parent / "config.pbtxt"
    device = device_of(config, written.read_text(encoding="utf-8") if written.is_file() else "")
    if device == CPU:
        return _load(path, config)
    own = _own_form(device, path)
    return _load_on(device, path, config) if own is None else _load_either(own, path, config)


def _model_file(config: dict, folder: Path) -> Path:
    path = folder / (config.get("default_model_filename") or "model.onnx")
    if not path.is_file():
        raise LoadError(f"{path} is missing; export the policy again")
    return path


def _own_form(device: str, path: Path) -> Path | None:
    """What export made of the same model for ONNX Runtime on CUDA, unless masks are asked for."""
    own = path.with_name(CUDA_FILE)
    is_wanted = device == "cuda" and path.name == "model.onnx" and own.is_file()
    return own if is_wanted and os.environ.get("REFLEX_CUDA_MASKS", "").lower() not in YES else None


def _session_options(config: dict) -> onnxruntime.SessionOptions:
    parameters = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = _count(parameters, "intra_op_thread_count") or _threads(config)
    options.inter_op_num_threads = _count(parameters, "inter_op_thread_count") or 1
    # Spinning makes a pool a little quicker and takes whole cores from the frontend.
    entries = {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"}
    entries |= {name: value for name, value in parameters.items() if name.startswith("session.")}
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    return options


def _count(parameters: dict[str, str], name: str) -> int:
    """0 where it is not given."""
    told = parameters.get(name) or "0"
    if not told.isdecimal():
        raise LoadError(f"config.pbtxt has {name} '{told}'; write a whole number there")
    return int(told)


def _threads(config: dict) -> int:
    """What the frontend allotted to a model, shared among the model's instances."""
    allotted = int(os.environ.get("REFLEX_ONNX_THREADS") or len(os.sched_getaffinity(0)))
    instances = sum(group.get("count", 1) for group in config.get("instance_group", []))
    return max(1, allotted // max(1, instances))


def _load(path: Path, config: dict) -> onnxruntime.InferenceSession:
    options = _session_options(config)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise LoadError(f"{path} cannot be loaded: {reason_of(exc, on_gpu=False)}") from exc
    _check_tensors(config, session)
    return session


def _load_on(device: str, path: Path, config: dict) -> BoundSession:
    session = open_on(
        device, path, lambda: _session_options(config), config, lambda session: _check_tensors(config, session)
    )
    sys.stderr.write(
        f"reflex: {config['name']} runs on {device} from {path.name}, "
        f"{'as' if session.captures else 'without'} CUDA graphs\n"
    )
    return session


def _load_either(own: Path, path: Path, config: dict) -> BoundSession:
    """The form that is made for CUDA, or the one of every runtime where this card or its libraries lack something."""
    why, ran = "it cannot be a CUDA graph", True
    try:
        session = _load_on("cuda", own, config)
        if session.captures or not can_capture(config):
            return session
        del session  # its memory is the other's
    except LoadError as exc:
        why, ran = str(exc), False
    told = why.removeprefix("device cuda: ")  # by which a reader knows that the device is to blame
    sys.stderr.write(f"reflex: {config['name']}: {own.name} does not serve here ({told}); trying {path.name}\n")
    try:
        return _load_on("cuda", path, config)
    except LoadError as exc:
        if ran:
            return _load_on("cuda", own, config)
        if str(exc) == why:
            raise
        raise LoadError(f"{exc}; before it {own.name} failed ({told}): REFLEX_CUDA_MASKS=1 leaves it out") from exc


def _check_tensors(config: dict, session: onnxruntime.InferenceSession) -> None:
    _check(config["input"], session.get_inputs(), "input", config["max_batch_size"])
    _check(config["output"], session.get_outputs(), "output", config["max_batch_size"])


def _check(wanted: list[dict], found: list, kind: str, max_batch_size: int) -> None:
    """Compare the config's tensors with the model's, name by name, so that a wrong export fails at load."""
    by_name = {tensor.name: tensor for tensor in found}
    for tensor in wanted:
        name = tensor["name"]
        if name not in by_name:
            offered = ", ".join(sorted(by_name))
            raise LoadError(f"config.pbtxt has {kind} '{name}', the model has only {offered}")
        if DATATYPES.get(tensor["data_type"]) != by_name[name].type:
            raise LoadError(
                f"{kind} '{name}' is {tensor['data_type']} in config.pbtxt and {by_name[name].type} in the model"
            )
        shape = by_name[name].shape
        if kind == "input" and max_batch_size > 1 and shape and isinstance(shape[0], int) and shape[0] > 0:
            raise LoadError(
                f"max_batch_size is {max_batch_size}, but the first axis of {kind} '{name}' is fixed at {shape[0]}"
            )
