"""What the tests of transports ask with, and who answers badly."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np

from reflex.connector import CameraFrame, Observation
from support.images import photo

__all__ = ["observation", "silent_server", "target"]


def target(url: str, **settings: Any) -> dict[str, Any]:
    """Of a long timeout, for a busy machine."""
    return {"url": url, "timeout_s": 10.0, "connect_timeout_s": 30.0} | settings


def observation(captured_s: float = 5.0, **fields: Any) -> Observation:
    """One picture of the demo policy's camera and a state of six."""
    cameras = {"image": CameraFrame(photo(3, 64, 48), captured_s)}
    given: dict[str, Any] = {"state": np.zeros(6, np.float32), "cameras": cameras, "captured_s": captured_s}
    return Observation(**{**given, **fields})


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """The address of one that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
