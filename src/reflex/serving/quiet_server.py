"""uvicorn without its own signal handlers: who runs it decides when it stops."""

from __future__ import annotations

import contextlib
from typing import Any

import uvicorn

__all__ = ["QuietServer"]


class QuietServer(uvicorn.Server):
    """Stops when `should_exit` is set, and only then."""

    def capture_signals(self) -> Any:  # noqa: ANN401 - uvicorn's own context manager type
        return contextlib.nullcontext()
