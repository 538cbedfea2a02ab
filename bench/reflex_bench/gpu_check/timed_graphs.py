"""An encoder and a denoise with everything that they read and write on the device, run again and again."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from reflex_bench.gpu_check.rows import told
from reflex_bench.gpu_check.ways import Way, WayError, device_of, make_session

__all__ = ["GraphPair", "TimedGraph", "made_up", "median_ms"]

DTYPES: Final[Mapping[str, Any]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
    "tensor(uint8)": np.uint8,
}
WARM_RUNS: Final = 5
DRAWN: Final = 1 << 16

Values = Mapping[str, Any]
"""OrtValues by name, on the device."""


def median_ms(run: Callable[[], object], rounds: int) -> float:
    """Of a call that returns when its work is done."""
    for _ in range(WARM_RUNS):
        run()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return 1e3 * statistics.median(times)


class TimedGraph:
    """One graph on one way, for batches of any size; with a CUDA graph for each size where the way can.

    `why_not` says why it is not even tried.
    """

    def __init__(self, path: Path, way: Way, why_not: str = "") -> None:
        self.way, self.note = way, f"no CUDA graph: {why_not}" if why_not else ""
        try:
            self._session = make_session(path, way, cuda_graph=way != "cpu" and not why_not)
        except WayError as exc:
            self._session = make_session(path, way)
            self.note = f"no CUDA graph: {exc}"

    def bound(self, given: Values, batch: int) -> tuple[Callable[[], None], dict[str, Any]]:
        """What runs it once, and its outputs; inputs that are not `given` are made up."""
        binding = self._session.io_binding()
        for value in self._session.get_inputs():
            binding.bind_ortvalue_input(value.name, given.get(value.name) or self._made_up(value, batch))
        outputs = {value.name: self._room(value, batch) for value in self._session.get_outputs()}
        for name, room in outputs.items():
            binding.bind_ortvalue_output(name, room)
        options = onnxruntime.RunOptions()
        if self.way != "cpu" and not self.note:
            options.add_run_config_entry("gpu_graph_id", str(batch))
        return lambda: self._session.run_with_iobinding(binding, options), outputs

    def _made_up(self, value: Any, batch: int) -> Any:  # noqa: ANN401
        array = made_up(_shape(value, batch), DTYPES[value.type])
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, device_of(self.way), 0)

    def _room(self, value: Any, batch: int) -> Any:  # noqa: ANN401
        shape, dtype = _shape(value, batch), DTYPES[value.type]
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype, device_of(self.way), 0)


class GraphPair:
    """A policy's two heavy graphs; keys and values go from one to the other where they lie."""

    def __init__(self, encoder: Path, denoise: Path, way: Way) -> None:
        self._paths, self._way = (encoder, denoise), way
        self._graphs = [TimedGraph(path, way) for path in self._paths]

    @property
    def note(self) -> str:
        return next((graph.note for graph in self._graphs if graph.note), "")

    def measure(self, batch: int, rounds: int) -> tuple[float, float, float]:
        """Milliseconds of the encoder, the denoise, and one after the other; without a CUDA graph if one fails."""
        try:
            return self._measured(batch, rounds)
        except Exception as exc:
            if self._way == "cpu" or self.note:
                raise
            why_not = told(exc)
        self._graphs.clear()  # first, for both may not fit on the card together
        self._graphs += [TimedGraph(path, self._way, why_not) for path in self._paths]
        return self._measured(batch, rounds)

    def _measured(self, batch: int, rounds: int) -> tuple[float, float, float]:
        encoder, denoiser = self._graphs
        encode, prefix = encoder.bound({}, batch)
        encode()
        denoise, _ = denoiser.bound(prefix, batch)

        def both() -> None:
            encode()
            denoise()

        return median_ms(encode, rounds), median_ms(denoise, rounds), median_ms(both, rounds)


def made_up(shape: tuple[int, ...], dtype: Any) -> Any:  # noqa: ANN401
    """Order one for numbers, the first token of the vocabulary, true for masks; an array.

    Numbers repeat: a gigabyte of them takes ten seconds to draw. They are no zeros, with which a card multiplies
    faster than it ever will.
    """
    if dtype not in (np.float32, np.float16):
        return np.ones(shape, dtype) if dtype is np.bool_ else np.zeros(shape, dtype)
    drawn = np.random.default_rng(0).standard_normal(min(math.prod(shape), DRAWN), np.float32)
    return np.resize(drawn.astype(dtype), shape)


def _shape(value: Any, batch: int) -> tuple[int, ...]:  # noqa: ANN401
    return (batch, *value.shape[1:])
