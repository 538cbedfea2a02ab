"""How graphs are timed: what they are fed with, and what is done where a CUDA graph cannot be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from reflex_bench.gpu_check import timed_graphs
from reflex_bench.gpu_check.timed_graphs import DRAWN, GraphPair, made_up
from reflex_bench.gpu_check.ways import CUDA
from support.gpus.negation import negation


def test_numbers_are_of_order_one_and_a_gigabyte_of_them_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    class Random:
        def standard_normal(self, size: int, _dtype: object) -> object:
            drawn.append(size)
            return np.random.Generator(np.random.PCG64(0)).standard_normal(size, np.float32)

    monkeypatch.setattr(np.random, "default_rng", lambda _seed: Random())

    many, few = made_up((3, DRAWN), np.float16), made_up((2, 3), np.float32)

    assert drawn == [DRAWN, 6]
    assert (many.shape, many.dtype) == ((3, DRAWN), np.float16)
    assert (few.shape, few.dtype) == ((2, 3), np.float32)
    assert 0.9 < float(many.astype(np.float32).std()) < 1.1
    assert np.count_nonzero(few) == 6


def test_tokens_are_the_first_and_masks_are_true() -> None:
    assert made_up((1, 2), np.int64).tolist() == [[0, 0]]
    assert made_up((1, 2), np.bool_).tolist() == [[True, True]]


@pytest.mark.parametrize("failing", ["1", "10"])
def test_a_capture_that_fails_when_it_is_run_is_measured_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Of `enable_cuda_graph` 1 alone, and of both: then it is no matter of the capture, and the error counts."""
    real = onnxruntime.InferenceSession

    class Session(real):  # type: ignore[misc, valid-type]
        def __init__(self, path: str, options: object, providers: list[Any], **_: object) -> None:
            self._captures = providers[0][1]["enable_cuda_graph"]
            super().__init__(path, options, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return [CUDA]

        def run_with_iobinding(self, *given: object) -> None:
            if self._captures in failing:
                raise ort.Fail("CUDA failure 901: operation failed due to a previous error during capture")
            super().run_with_iobinding(*given)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(timed_graphs, "device_of", lambda _: "cpu")
    pair = GraphPair(negation(tmp_path / "a"), negation(tmp_path / "b"), "cuda")

    if failing == "10":
        with pytest.raises(ort.Fail, match="901"):
            pair.measure(1, 1)
    else:
        assert min(pair.measure(1, 1)) > 0
        assert pair.note.startswith("no CUDA graph: CUDA failure 901")
