"""Which TensorRT is installed. Both products have the same API under different names."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from reflex.errors import SetupError
from reflex.wording.install import install_line, install_line_elsewhere

__all__ = ["Engine", "Toolkit", "installed_engine", "load_toolkit"]

Engine = Literal["tensorrt", "tensorrt-rtx"]
"""`tensorrt` builds on the GPU that serves and runs in Triton's own backend; `tensorrt-rtx` builds without a GPU."""

MODULES: Final[Mapping[Engine, tuple[str, ...]]] = {
    "tensorrt": ("tensorrt",),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings"),  # the SDK's wheel, the wheel of the package index
}


@dataclass(frozen=True)
class Toolkit:
    """An imported TensorRT."""

    engine: Engine
    version: str
    api: Any
    """The module; its bindings carry no types."""


def load_toolkit(engine: Engine) -> Toolkit:
    """Import the product; `SetupError` says where it comes from when it is absent or its libraries do not load."""
    problem = "it is not installed"
    for name in MODULES[engine]:
        try:
            api = importlib.import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name != name:
                problem = f"its part {exc.name} is missing"
            continue
        except (ImportError, OSError) as exc:
            problem = f"{name} cannot be loaded: {exc}"
            continue
        return Toolkit(engine, str(api.__version__), api)
    raise SetupError(f"engines of kind {engine} need NVIDIA's library, and {problem}; {_remedy(engine)}")


def installed_engine() -> Engine:
    """The kind to build when nobody chose: `tensorrt` where it is installed, else `tensorrt-rtx`."""
    for engine, names in MODULES.items():
        if any(importlib.util.find_spec(name) is not None for name in names):
            return engine
    raise SetupError(
        f"no TensorRT is installed. For GPUs that Triton serves itself (--engine tensorrt), {_remedy('tensorrt')}. "
        f"For RTX GPUs (--engine tensorrt-rtx), {_remedy('tensorrt-rtx')}"
    )


def _remedy(engine: Engine) -> str:
    if engine == "tensorrt":
        return (
            "run the command in NVIDIA's container nvcr.io/nvidia/tensorrt (or tritonserver) of the release that will "
            f"serve, with `{install_line_elsewhere('export')}`: an engine only loads in the TensorRT that built it"
        )
    return (
        f"run: {install_line('tensorrt')}, which brings NVIDIA's tensorrt-rtx-cu12-libs and -bindings (Linux on x86-64)"
    )
