"""Reflex serves vision-language-action policies to robots.

Everything here loads on first use: `import reflex` costs milliseconds and pulls in no numpy, FastAPI, onnx or tensorrt.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reflex.client import AsyncReflexClient, ReflexClient
    from reflex.errors import ReflexError

__all__ = ["AsyncReflexClient", "ReflexClient", "ReflexError", "__version__"]

__version__ = "0.1.0.dev0"

_HOMES = {
    "AsyncReflexClient": "reflex.client",
    "ReflexClient": "reflex.client",
    "ReflexError": "reflex.errors",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'reflex' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
