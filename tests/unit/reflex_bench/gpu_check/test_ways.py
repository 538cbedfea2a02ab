"""A way that fails says so as `WayError`, whatever ONNX Runtime raises: its own exceptions are no RuntimeError."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from reflex_bench.gpu_check import ways
from reflex_bench.gpu_check.timed_graphs import TimedGraph
from reflex_bench.gpu_check.ways import CUDA, Way, WayError, make_session, try_way
from reflex_export.graph.graph import GraphBuilder

RAISED = [ort.Fail, ort.RuntimeException, ort.EPFail, ort.InvalidGraph, ort.NotImplemented, MemoryError, OSError]
"""Of which the first five are ONNX Runtime's."""


def negation(folder: Path) -> Path:
    g = GraphBuilder("neg")
    g.output(g.op("Neg", g.input("x", "FP32", (2,))), "y", "FP32", (2,))
    g.build().save(folder)
    return folder / "model.onnx"


@pytest.mark.parametrize("way", ["cuda", "cpu"])
@pytest.mark.parametrize("kind", RAISED)
def test_a_session_that_cannot_be_made_is_a_way_that_fails(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception], way: Way
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kind("no kernel for this\nand more")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA])
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)

    with pytest.raises(WayError, match=f"^{way}: no kernel for this"):
        make_session(Path("model.onnx"), way)


@pytest.mark.parametrize("kind", RAISED)
def test_a_session_that_cannot_run_is_a_way_that_fails(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    class Session:
        def run(self, *_: object) -> None:
            raise kind("")

    monkeypatch.setattr(ways, "make_session", lambda *_: Session())

    with pytest.raises(WayError, match=f"^cuda: {kind.__name__}$"):
        try_way("cuda")


def test_what_computes_on_the_processor_works() -> None:
    try_way("cpu")


def test_a_graph_that_cannot_be_captured_is_run_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = onnxruntime.InferenceSession

    class Session(real):  # type: ignore[misc, valid-type]
        def __init__(self, path: str, options: object, providers: list[Any], **_: object) -> None:
            [(_, chosen)] = providers
            if chosen["enable_cuda_graph"] == "1":
                raise ort.Fail("This session cannot use the graph capture feature")
            super().__init__(path, options, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return [CUDA]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)

    assert TimedGraph(negation(tmp_path), "cuda").note == (
        "no CUDA graph: cuda: This session cannot use the graph capture feature"
    )
