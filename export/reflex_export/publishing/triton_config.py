"""config.pbtxt: what Triton reads about a component and about the ensemble that chains them.

Nothing here says where a model runs: no instance group, no device, no path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reflex.policy_config import TensorConfig
from reflex.readiness.servable import EXPORT_ID_PARAMETER

__all__ = ["Component", "component_config", "ensemble_config", "ensemble_inputs"]

ENSEMBLE_MAX_BATCH_SIZE: Final = 1
"""One robot, one request. Batches form inside the components, across requests."""


@dataclass(frozen=True)
class Component:
    """One model of a policy, `<policy>_<role>`. Tensors are wired by name from component to component."""

    role: str
    inputs: tuple[TensorConfig, ...]
    outputs: tuple[TensorConfig, ...]
    max_batch_size: int
    backend: str = "onnxruntime"
    parameters: Mapping[str, str] = field(default_factory=dict)


def component_config(name: str, component: Component, export_id: str) -> str:
    """The config.pbtxt of one component, the model `name`."""
    # max_queue_size is never set: before 26.02, an ensemble's request is lost for ever when a step's queue overflows.
    # No queue delay: a batch is what is already waiting, and nobody is delayed for others.
    blocks = [
        f"name: {_quoted(name)}",
        f"backend: {_quoted(component.backend)}",
        f"max_batch_size: {component.max_batch_size}",
        *(_tensor("input", tensor) for tensor in component.inputs),
        *(_tensor("output", tensor) for tensor in component.outputs),
        "dynamic_batching { }",
        *_parameters({EXPORT_ID_PARAMETER: export_id, **component.parameters}),
    ]
    return "\n".join(blocks) + "\n"


def ensemble_config(
    policy_id: str, components: Sequence[Component], export_id: str, names: Mapping[str, str] | None = None
) -> str:
    """The config.pbtxt of `<policy>`: the components in order, each at version 1.

    `names` is the model's name by role, where it is not `<policy>_<role>`.
    """
    named = {component.role: f"{policy_id}_{component.role}" for component in components} | dict(names or {})
    steps = ",\n".join(_step(named[component.role], component) for component in components)
    blocks = [
        f"name: {_quoted(policy_id)}",
        'platform: "ensemble"',
        f"max_batch_size: {ENSEMBLE_MAX_BATCH_SIZE}",
        *(_tensor("input", tensor) for tensor in ensemble_inputs(components)),
        *(_tensor("output", tensor) for tensor in components[-1].outputs),
        f"ensemble_scheduling {{\n  step [\n{steps}\n  ]\n}}",
        *_parameters({EXPORT_ID_PARAMETER: export_id}),
    ]
    return "\n".join(blocks) + "\n"


def ensemble_inputs(components: Sequence[Component]) -> tuple[TensorConfig, ...]:
    """What no component before produces: the tensors that a request must bring."""
    known: dict[str, TensorConfig] = {}
    wanted: list[TensorConfig] = []
    for component in components:
        for tensor in component.inputs:
            if known.setdefault(tensor.name, tensor) is tensor:
                wanted.append(tensor)
            elif known[tensor.name] != tensor:
                raise ValueError(f"{component.role} takes {tensor}, but it is {known[tensor.name]} before")
        known.update({tensor.name: tensor for tensor in component.outputs})
    return tuple(wanted)


def _step(name: str, component: Component) -> str:
    lines = [f"      model_name: {_quoted(name)}", "      model_version: 1"]
    for kind, tensors in (("input_map", component.inputs), ("output_map", component.outputs)):
        lines += [f"      {kind} {{ key: {_quoted(t.name)} value: {_quoted(t.name)} }}" for t in tensors]
    return "    {\n" + "\n".join(lines) + "\n    }"


def _tensor(kind: str, tensor: TensorConfig) -> str:
    dims = ", ".join(str(size) for size in tensor.shape)
    return f"{kind} [ {{ name: {_quoted(tensor.name)} data_type: TYPE_{tensor.datatype} dims: [ {dims} ] }} ]"


def _parameters(parameters: Mapping[str, str]) -> list[str]:
    return [
        f"parameters {{ key: {_quoted(key)} value {{ string_value: {_quoted(value)} }} }}"
        for key, value in parameters.items()
    ]


def _quoted(text: str) -> str:
    """A string of protobuf's text format, whose escapes JSON's are a subset of when the text stays UTF-8."""
    return json.dumps(text, ensure_ascii=False)
