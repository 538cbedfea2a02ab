"""A session whose inputs and outputs stay in the same places of the GPU's memory, so that its runs can be replayed.

For each set of shapes there is one set of buffers and one CUDA graph. What a model gives can be handed to the next one
where it lies (`stay`): a policy's keys and values never leave the GPU between encoder and denoise.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnxruntime

__all__ = ["BoundSession", "can_capture"]

MOST_GRAPHS = 32
"""Of the shapes beyond those, none is kept: what comes then runs without a graph."""
NUMPY = {
    "tensor(bool)": np.bool_,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}
NO_GRAPH = "-1"
GRAPH_KEYS = ("gpu_graph_id", "cuda_graph_annotation_id")
"""Of ONNX Runtime's own CUDA provider, and of NVIDIA's plugin."""


def can_capture(config: dict) -> bool:
    """Whether all shapes of a model are known, and not too many to keep a graph for each."""
    return config["max_batch_size"] <= MOST_GRAPHS and all(
        int(size) >= 0 for tensor in (*config["input"], *config["output"]) for size in tensor["dims"]
    )


@dataclass
class _Bound:
    binding: onnxruntime.IOBinding
    inputs: dict[str, onnxruntime.OrtValue]
    outputs: dict[str, onnxruntime.OrtValue]
    options: onnxruntime.RunOptions


class BoundSession:
    """One model on a device; runs one after the other. `memory` is where its buffers lie, as ONNX Runtime names it."""

    def __init__(
        self, session: onnxruntime.InferenceSession, config: dict, memory: str, *, captures: bool, index: int = 0
    ) -> None:
        self._session = session
        self._memory = memory
        self._index = index
        self._max_batch = config["max_batch_size"]
        self._inputs = {tensor["name"]: [int(size) for size in tensor["dims"]] for tensor in config["input"]}
        self._outputs = {tensor["name"]: [int(size) for size in tensor["dims"]] for tensor in config["output"]}
        self._types = {tensor.name: NUMPY[tensor.type] for tensor in _known(session, config)}
        self._bound: dict[tuple, _Bound] = {}
        self.captures = captures and can_capture(config)
        """Whether runs are replayed as CUDA graphs."""

    def get_inputs(self) -> list:
        return self._session.get_inputs()

    def get_outputs(self) -> list:
        return self._session.get_outputs()

    def warmed_up(self) -> "BoundSession":
        """Itself, after a run of every batch size: kernels are chosen, memory is taken, graphs are captured."""
        sizes = [[]] if self._max_batch < 1 else [[batch] for batch in range(1, self._max_batch + 1)]
        for batch in sizes:
            feed = {name: np.zeros([*batch, *dims], self._types[name]) for name, dims in self._inputs.items()}
            self.run(list(self._outputs), feed)
        return self

    def run(self, names: list[str] | None, feed: dict, stay: Collection[str] = ()) -> list:
        """As a session's `run`; inputs are arrays, or what another model left on this device.

        The outputs that are to `stay` are given where they are. They hold until the next run of the same shapes.
        """
        wanted = names or list(self._outputs)
        values = self._run_on_device(wanted, feed)
        return [value if name in stay else _taken(value) for name, value in zip(wanted, values, strict=True)]

    def _run_on_device(self, names: list[str], feed: dict) -> list[onnxruntime.OrtValue]:
        if not self.captures:
            return self._run_once(names, feed)
        key = tuple((name, *_shape_of(feed[name])) for name in self._inputs)
        bound = self._bound.get(key)
        if bound is None:
            if len(self._bound) >= MOST_GRAPHS:
                return self._run_once(names, feed)
            bound = self._bind(feed, str(len(self._bound) + 1))
            self._bound[key] = bound
        for name, value in bound.inputs.items():
            value.update_inplace(feed[name])
        self._session.run_with_iobinding(bound.binding, bound.options)
        return [bound.outputs[name] for name in names]

    def _bind(self, feed: dict, graph: str) -> _Bound:
        binding = self._session.io_binding()
        inputs = {name: self._room(name, _shape_of(feed[name])) for name in self._inputs}
        batch = [] if self._max_batch < 1 else [_shape_of(next(iter(feed.values())))[0]]
        outputs = {name: self._room(name, [*batch, *dims]) for name, dims in self._outputs.items()}
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        return _Bound(binding, inputs, outputs, _run_options(graph))

    def _room(self, name: str, shape: list[int]) -> onnxruntime.OrtValue:
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            list(shape), self._types[name], self._memory, self._index
        )

    def _run_once(self, names: list[str], feed: dict) -> list[onnxruntime.OrtValue]:
        binding = self._session.io_binding()
        for name, value in feed.items():
            if isinstance(value, np.ndarray):
                value = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value), self._memory, self._index)
            binding.bind_ortvalue_input(name, value)
        for name in names:
            binding.bind_output(name, self._memory, self._index)
        self._session.run_with_iobinding(binding, _run_options(NO_GRAPH))
        return binding.get_outputs()


def _known(session: onnxruntime.InferenceSession, config: dict) -> list:
    """What the config names of the graph's tensors: others are neither fed nor taken, of whatever type they are."""
    names = {tensor["name"] for tensor in (*config["input"], *config["output"])}
    return [tensor for tensor in (*session.get_inputs(), *session.get_outputs()) if tensor.name in names]


def _taken(value: onnxruntime.OrtValue) -> np.ndarray:
    """The caller's own: of memory that is not the GPU's, an array would be a view of the buffer."""
    array = value.numpy()
    return array.copy() if value.device_name() == "cpu" else array


def _run_options(graph: str) -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    for key in GRAPH_KEYS[:1] if graph == NO_GRAPH else GRAPH_KEYS:
        options.add_run_config_entry(key, graph)
    return options


def _shape_of(value: object) -> list[int]:
    return list(value.shape() if isinstance(value, onnxruntime.OrtValue) else value.shape)
