"""Keeping the graphs that are run again and again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnxruntime
import pytest

from reflex_export.checking import parity
from reflex_export.checking.serving_device import ServingDevice

__all__ = ["each_graph_loaded_once"]


@contextmanager
def each_graph_loaded_once() -> Iterator[None]:
    """For a `PolicyRunner`: ONNX Runtime takes ten times as long to load a graph as to run it.

    What counts is what the graph's folder holds, its weights too.
    """
    load, loaded = parity._session, dict[bytes, onnxruntime.InferenceSession]()

    def session(path: Path, options: onnxruntime.SessionOptions, device: ServingDevice) -> onnxruntime.InferenceSession:
        content = device.name.encode() + b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))
        if content not in loaded:
            loaded[content] = load(path, options, device)
        return loaded[content]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "_session", session)
        yield
