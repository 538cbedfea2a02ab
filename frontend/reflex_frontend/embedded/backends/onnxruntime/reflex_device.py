"""A session of ONNX Runtime on a GPU: which provider, with what options, and what its failures mean for a person.

The frontend has chosen the device and hides all cards but the one to take; what it found out is in the environment.
ONNX Runtime would go on on the CPU when its provider cannot be loaded: here that is an error, for whoever asked for a
GPU, or falls back to the CPU, must know.
"""

import ctypes
import os
import re
from collections.abc import Callable
from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states
from reflex_bound import BoundSession, can_capture
from reflex_cache import cached

NewOptions = Callable[[], onnxruntime.SessionOptions]
Check = Callable[[onnxruntime.InferenceSession], None]

__all__ = ["CPU", "DeviceError", "LoadError", "device_of", "open_on", "reason_of", "sentence_of"]

CPU = "cpu"
PROVIDERS = {"cuda": "CUDAExecutionProvider", "trt-rtx": "NvTensorRTRTXExecutionProvider"}
CUDA_OPTIONS = {
    "device_id": "0",
    "use_tf32": "0",  # FP32 is FP32: ten bits of mantissa would not pass the parity check
    "arena_extend_strategy": "kSameAsRequested",  # shapes are fixed; powers of two would waste up to half the memory
}
OUT_OF_MEMORY = re.compile(
    r"out of memory|CUDA failure 2\b|Failed to allocate memory|STATUS_ALLOC_FAILED|OutOfMemory|bad_alloc", re.IGNORECASE
)
MACHINE_FULL = (
    "this machine's memory ran out; see with `free -h` and `top` who else uses it, give a container more, or serve "
    "fewer policies"
)
LOST = re.compile(
    r"CUDA failure (?:46|100|214|219|226|7(?:0[02]|10|1[3-9]|21)|8\d\d|999)\b|CUDA_ERROR_(?:ILLEGAL|UNKNOWN|LAUNCH|ECC)"
    r"|unspecified launch failure|illegal memory access|device-side assert|uncorrectable ECC|GPU is lost",
    re.IGNORECASE,
)
MODEL_FAULTS = (KeyError, states.InvalidArgument, states.InvalidGraph, states.InvalidProtobuf, states.NoSuchFile)
MODEL_FAULT = re.compile(
    r"Load model from|tensorprotoutils|[Ii]nvalid (?:dimensions|rank) for input|Unexpected input data type|NodeArg"
)
"""What ONNX Runtime itself says of a file, its weights or its tensors, in errors of no class of their own."""
PROVIDERS_OWN = re.compile(r"CUDA|CUDNN|CUBLAS|TensorRT|NvTensor|ExecutionProvider", re.IGNORECASE)
COMMENT = re.compile(r"#.*")
ON_CPU = re.compile(r"\bkind\s*:\s*KIND_CPU\b")
NOT_LOADED = re.compile(r"Failed to load library \S+ with error: (.*)")
FOLDERS = re.compile(r"/[^\s:]*/")
WHERE = " ; GPU="
"""What ONNX Runtime adds to an error of CUDA begins with it: this machine's name, and a place in its own source."""
NOT_ALL_ON_GPU = re.compile(r"cannot use the (?:CUDA )?graph capture feature|cannot use the CUDA Graph", re.IGNORECASE)


class LoadError(Exception):
    """Why a model cannot be loaded, for a person."""


class DeviceError(LoadError):
    """Why a model does not come up on its device; the frontend knows it by how it begins."""

    def __init__(self, device: str, why: str) -> None:
        super().__init__(f"device {device}: {why}")


def device_of(config: dict, written: str) -> str:
    """Where this model runs. Of pictures of any size no graph can be made, and they are prepared beside the GPU.

    `written` is its config.pbtxt: a Triton that sees no card itself makes KIND_CPU of every group without a kind.
    """
    wanted = os.environ.get("REFLEX_ONNX_DEVICE") or CPU
    if ON_CPU.search(COMMENT.sub("", written)):
        return CPU
    return CPU if any(-1 in map(int, tensor["dims"]) for tensor in config["input"]) else wanted


def open_on(device: str, path: Path, options: NewOptions, config: dict, check: Check) -> BoundSession:
    """The model on the GPU, run once for every batch size; `DeviceError` when it is not what runs it.

    `options` makes those of a session anew: one that failed, or is opened twice, must not leave its provider in them.
    `check` raises what is wrong with the model itself. That is no fault of the device, and is told as on the CPU.
    """
    try:
        return (_open_rtx if device == "trt-rtx" else _open_cuda)(path, options, config, check)
    except LoadError:
        raise
    except Exception as exc:
        if _is_of_model(exc, path):
            raise LoadError(f"{path} cannot be loaded: {reason_of(exc, on_gpu=True)}") from exc
        raise DeviceError(device, sentence_of(str(exc)) or _plainly(str(exc))) from exc


def reason_of(error: Exception, *, on_gpu: bool) -> str:
    """Without the `[ONNXRuntimeError] : 7 : ` in front; what it means, where that is known.

    ONNX Runtime has the same words for the memory of either; `on_gpu` is where the session runs.
    """
    if on_gpu and (sentence := sentence_of(str(error))):
        return sentence
    if not on_gpu and (isinstance(error, MemoryError) or OUT_OF_MEMORY.search(str(error))):
        return MACHINE_FULL
    told = str(error).partition(WHERE)[0]
    return told.removeprefix("[ONNXRuntimeError] : ").partition(" : ")[2] or told


def sentence_of(error: str) -> str | None:
    """What an error of the GPU means and what to do; None for any other error."""
    if OUT_OF_MEMORY.search(error):
        return (
            "the GPU's memory ran out; see with `nvidia-smi` who else uses it, or export with --precision fp16, or "
            "serve fewer policies"
        )
    found = LOST.search(error)
    return None if found is None else f"the GPU is lost ({found[0]}); `dmesg | grep Xid` says why"


def _is_of_model(error: Exception, path: Path) -> bool:
    """Whether the model would not come up on any device."""
    told = str(error).replace(str(path), "")
    if sentence_of(told) or PROVIDERS_OWN.search(told):
        return False
    is_unreadable = isinstance(error, OSError) and str(error.filename) == str(path)
    return is_unreadable or isinstance(error, MODEL_FAULTS) or MODEL_FAULT.search(str(error)) is not None


def _plainly(error: str) -> str:
    """Without codes and paths: these words go as far as /health."""
    found = NOT_LOADED.search(error)
    if found is not None:
        return f"its library cannot be loaded: {FOLDERS.sub('', found[1])}; `reflex doctor` says more"
    told = error.partition(WHERE)[0].removeprefix("[ONNXRuntimeError] : ").rpartition(" : ")[2]
    return FOLDERS.sub("", told)


def _open_cuda(path: Path, options: NewOptions, config: dict, check: Check) -> BoundSession:
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    try:
        captures = can_capture(config)
        session = _cuda_session(path, options(), CUDA_OPTIONS | {"enable_cuda_graph": str(int(captures))})
    except Exception as exc:
        if NOT_ALL_ON_GPU.search(str(exc)) is None:
            raise
        session, captures = _cuda_session(path, options(), CUDA_OPTIONS | {"enable_cuda_graph": "0"}), False
    check(session)
    return BoundSession(session, config, "cuda", captures=captures).warmed_up()


def _cuda_session(
    path: Path, options: onnxruntime.SessionOptions, wanted: dict[str, str]
) -> onnxruntime.InferenceSession:
    providers = [(PROVIDERS["cuda"], wanted), "CPUExecutionProvider"]
    if PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
        raise DeviceError("cuda", "the package onnxruntime here computes on the CPU alone; `reflex doctor` says more")
    session = onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    if PROVIDERS["cuda"] not in session.get_providers():
        raise DeviceError("cuda", f"its provider cannot be loaded: {_why_not_loaded()}; `reflex doctor` says more")
    return session


def _why_not_loaded() -> str:
    """ONNX Runtime says it in its log alone; the loader says it again."""
    library = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(library))
    except OSError as exc:
        return FOLDERS.sub("", str(exc))
    return "ONNX Runtime did not take it"


def _open_rtx(path: Path, options: NewOptions, config: dict, check: Check) -> BoundSession:
    devices = _rtx_devices()

    def opened(cache: Path | None) -> BoundSession:
        wanted = _rtx_options(config) | ({} if cache is None else {"nv_runtime_cache_path": str(cache)})
        own = options()
        own.add_provider_for_devices(devices[:1], wanted)
        session = onnxruntime.InferenceSession(str(path), own)
        if PROVIDERS["trt-rtx"] not in session.get_providers():
            raise DeviceError("trt-rtx", "ONNX Runtime did not take its provider; `reflex doctor` says more")
        check(session)
        return BoundSession(session, config, "cuda", captures=can_capture(config)).warmed_up()

    root = os.environ.get("REFLEX_ONNX_CACHE")
    return opened(None) if not root else cached(Path(root), path, _key_parts(config), opened)


def _rtx_devices() -> list:
    import onnxruntime_ep_nv_tensorrt_rtx as plugin

    name = PROVIDERS["trt-rtx"]
    try:
        onnxruntime.register_execution_provider_library(name, plugin.get_library_path())
    except Exception as exc:
        if "already registered" not in str(exc):
            raise
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not devices:
        raise DeviceError("trt-rtx", "NVIDIA's plugin finds no card that it runs on; serve with --device cuda")
    return devices


def _rtx_options(config: dict) -> dict[str, str]:
    return {"enable_cuda_graph": str(int(can_capture(config)))} | _profile(config)


def _profile(config: dict) -> dict[str, str]:
    """Batches from one to the greatest; one robot's is what it is tuned for."""
    if config["max_batch_size"] < 1:
        return {}
    sizes = {"min": 1, "opt": 1, "max": config["max_batch_size"]}
    return {f"nv_profile_{end}_shapes": _shapes(config, batch) for end, batch in sizes.items()}


def _shapes(config: dict, batch: int) -> str:
    return ",".join(f"{tensor['name']}:{'x'.join(map(str, [batch, *tensor['dims']]))}" for tensor in config["input"])


def _key_parts(config: dict) -> list[str]:
    """What a compiled graph depends on besides the graph. The card and its driver are told by the frontend."""
    from importlib.metadata import version

    plugin = version("onnxruntime-ep-nv-tensorrt-rtx-cu13")
    options = sorted(_rtx_options(config).items())
    return [onnxruntime.__version__, plugin, os.environ.get("REFLEX_ONNX_CARD", ""), repr(options)]
