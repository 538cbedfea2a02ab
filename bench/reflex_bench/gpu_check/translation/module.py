"""An ONNX graph as a PyTorch module that a compiler sees through.

What depends on weights and shapes alone is computed once, while translating, as every runtime folds it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch

from reflex_bench.gpu_check.translation.operators import NUMBERS, OPERATORS

__all__ = ["TranslatedGraph", "UnknownOperatorError", "translate"]


class UnknownOperatorError(Exception):
    """The graph has operators that are not translated; the message names them."""


@dataclass(frozen=True)
class Step:
    """One operator; `inputs` are names, "" where one is left out, or numbers that are known."""

    operator: Any
    attributes: Mapping[str, Any]
    inputs: tuple[str | list[int], ...]
    outputs: tuple[str, ...]

    def run(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Its outputs by name."""
        values = [known[one] if isinstance(one, str) and one else one or None for one in self.inputs]
        answer = self.operator(self.attributes, *values)
        answers = answer if isinstance(answer, (tuple, list)) else (answer,)
        return dict(zip(self.outputs, answers, strict=False))


class TranslatedGraph(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """Takes its inputs in the order of `inputs`, and gives a tuple in the order of `outputs`."""

    def __init__(
        self, steps: Sequence[Step], constants: Mapping[str, Any], inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        super().__init__()
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._steps, self._constants = list(steps), dict(constants)

    def forward(self, *values: Any) -> tuple[Any, ...]:  # noqa: ANN401
        known = {**self._constants, **dict(zip(self.inputs, values, strict=True))}
        for step in self._steps:
            known.update(step.run(known))
        return tuple(known[name] for name in self.outputs)


def translate(path: Path, example: Mapping[str, Any], device: str) -> TranslatedGraph:
    """`example` are inputs by name, on the device; the module takes others of the same sizes."""
    model = onnx.load(path)
    refused = {node.op_type for node in model.graph.node if node.op_type not in {*OPERATORS, *FOLDED}}
    if refused:
        raise UnknownOperatorError(f"{', '.join(sorted(refused))} of {path.parent.parent.name} has no translation yet")
    known: dict[str, Any] = {one.name: _tensor(one, path, device) for one in model.graph.initializer}
    fixed = set(known)
    known.update(example)
    steps = []
    with torch.inference_mode():
        for node in model.graph.node:
            if node.op_type in FOLDED:
                known.update(FOLDED[node.op_type](node, known))
                fixed.update(node.output)
                continue
            step = _step(node, known, fixed)
            known.update(step.run(known))
            if all(one in fixed for one in step.inputs if isinstance(one, str) and one):
                fixed.update(step.outputs)
            else:
                steps.append(step)
    used = {one for step in steps for one in step.inputs if isinstance(one, str)} & fixed
    constants = {name: known[name] for name in used}
    return TranslatedGraph(steps, constants, list(example), [value.name for value in model.graph.output])


def _step(node: Any, known: Mapping[str, Any], fixed: Collection[str]) -> Step:  # noqa: ANN401
    numbers = NUMBERS.get(node.op_type, ())
    inputs = [
        known[name].reshape(-1).tolist() if place in numbers and name in fixed else name
        for place, name in enumerate(node.input)
    ]
    return Step(OPERATORS[node.op_type], _attributes(node), tuple(inputs), tuple(node.output))


def _attributes(node: Any) -> dict[str, Any]:  # noqa: ANN401
    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}


def _constant(node: Any, _known: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    return {node.output[0]: torch.from_numpy(np.array(onnx.numpy_helper.to_array(_attributes(node)["value"])))}


def _shape(node: Any, known: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    attributes, shape = _attributes(node), list(known[node.input[0]].shape)
    cut = shape[attributes.get("start", 0) : attributes.get("end", len(shape))]
    return {node.output[0]: torch.tensor(cut, dtype=torch.int64)}


FOLDED: Final = {"Constant": _constant, "Shape": _shape}
"""What is always known."""


def _tensor(initializer: Any, path: Path, device: str) -> Any:  # noqa: ANN401
    """Weights on the device; whole numbers, which are shapes and axes, on the host."""
    array = np.array(onnx.numpy_helper.to_array(initializer, base_dir=str(path.parent)))
    value = torch.from_numpy(array)
    is_number = value.is_floating_point() or value.dim() > 1 or value.dtype == torch.bool
    return value.to(device) if is_number else value
