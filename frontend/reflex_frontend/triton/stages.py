"""A policy's models one after the other: what its ensemble does inside Triton, in steps that something is kept between.

The prefix is what the denoise model reads of the models before it: for a policy with a language model, its keys and
values. It depends on the inputs of those models, byte for byte, and on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from reflex_frontend.errors import TritonCallError
from reflex_frontend.triton.gateway import Metadata, Outputs, RawTensor, Target, Triton, arrays_of

__all__ = ["Prefix", "PrefixMemory", "Stage", "StagedCall", "Stages", "read_stages"]

Prefix = tuple[RawTensor, ...]
"""What the denoise model takes besides the request's own inputs; nobody may change it."""
ITEM_BYTES: Final = {"TYPE_BOOL": 1, "TYPE_UINT8": 1, "TYPE_FP16": 2, "TYPE_BF16": 2, "TYPE_INT64": 8}
"""Of the types that are not four bytes long."""
UNKNOWN_MODEL: Final = "unknown model"
"""What Triton says of a model that is not loaded (triton core)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One model: what it reads, and of what it gives that which a later one reads."""

    target: Target
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stages:
    """The models of one policy. `before` give the prefix, `last` makes actions of it."""

    before: tuple[Stage, ...]
    last: Stage
    prefix: tuple[str, ...]
    prefix_bytes: int

    @property
    def observed(self) -> frozenset[str]:
        """The tensors of a request that the prefix depends on."""
        made = {name for stage in self.before for name in stage.outputs}
        return frozenset(name for stage in self.before for name in stage.inputs) - made

    async def make_prefix(self, triton: Triton, inputs: Sequence[RawTensor], metadata: Metadata) -> Prefix:
        """Run all but the last model."""
        known = {tensor.name: tensor for tensor in inputs}
        for stage in self.before:
            given = [known[name] for name in stage.inputs]
            made = await triton.infer_raw(stage.target, given, stage.outputs, metadata)
            known |= {tensor.name: tensor for tensor in made}
        return tuple(known[name] for name in self.prefix)

    async def denoise(self, triton: Triton, inputs: Sequence[RawTensor], prefix: Prefix, metadata: Metadata) -> Outputs:
        """Run the last model: what the ensemble would have given."""
        known = {tensor.name: tensor for tensor in (*inputs, *prefix)}
        given = [known[name] for name in self.last.inputs]
        return arrays_of(await triton.infer_raw(self.last.target, given, metadata=metadata))


def read_stages(ensemble: Any, models: Mapping[str, Any]) -> Stages | None:  # noqa: ANN401 - generated protobuf
    """By the config.pbtxt of the ensemble and of its models, by name and in order.

    None where they are no chain of models that all batch and call their tensors alike: its parts cannot be run alone.
    """
    steps = ensemble.ensemble_scheduling.step
    if [step.model_name for step in steps] != list(models) or not all(map(_keeps_names, steps)):
        return None
    if any(model.max_batch_size < 1 for model in models.values()):
        return None
    *before, last = models.values()
    made = {tensor.name: tensor for model in before for tensor in model.output}
    prefix = [made[tensor.name] for tensor in last.input if tensor.name in made]
    if not prefix:
        return None
    read = {tensor.name for model in models.values() for tensor in model.input}
    stages = [_stage(step, model, read) for step, model in zip(steps, models.values(), strict=True)]
    return Stages(
        tuple(stages[:-1]), stages[-1], tuple(tensor.name for tensor in prefix), sum(map(_byte_count, prefix))
    )


def _keeps_names(step: Any) -> bool:  # noqa: ANN401 - generated protobuf
    return all(key == value for names in (step.input_map, step.output_map) for key, value in names.items())


def _stage(step: Any, model: Any, read: set[str]) -> Stage:  # noqa: ANN401 - generated protobuf
    version = "" if step.model_version == -1 else str(step.model_version)
    inputs = tuple(tensor.name for tensor in model.input)
    return Stage(
        Target(step.model_name, version), inputs, tuple(tensor.name for tensor in model.output if tensor.name in read)
    )


def _byte_count(tensor: Any) -> int:  # noqa: ANN401 - generated protobuf
    kind = type(tensor).DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[tensor.data_type].name
    return math.prod(max(1, int(size)) for size in tensor.dims) * ITEM_BYTES.get(kind, 4)


class PrefixMemory(Protocol):
    """What is remembered of one episode; `observed` are the tensors that its prefix depends on."""

    def find(self, observed: Sequence[RawTensor]) -> Prefix | None: ...
    def is_worth_keeping(self) -> bool: ...
    def keep(self, observed: Sequence[RawTensor], prefix: Prefix | None) -> None: ...


@dataclass(slots=True)
class StagedCall:
    """One inference that begins with the prefix of the one before it, where nothing has changed that this depends on.

    Else it runs as the ensemble, or, where its own prefix is worth keeping, model by model.
    """

    stages: Stages
    memory: PrefixMemory
    is_hit: bool = False
    _observed: Sequence[RawTensor] = ()
    _prefix: Prefix | None = None

    async def ask(self, triton: Triton, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:
        """What the ensemble gives for `inputs`, to the bit."""
        self._observed = [tensor for tensor in inputs if tensor.name in self.stages.observed]
        self._prefix = self.memory.find(self._observed)
        self.is_hit = self._prefix is not None
        if self._prefix is None and self.memory.is_worth_keeping():
            self._prefix = await self._made(triton, inputs, metadata)
        if self._prefix is None:
            return await triton.infer(inputs, metadata)
        return await self.stages.denoise(triton, inputs, self._prefix, metadata)

    async def _made(self, triton: Triton, inputs: Sequence[RawTensor], metadata: Metadata) -> Prefix | None:
        """None where Triton runs the ensemble as one model: there is nothing to ask one by one."""
        try:
            return await self.stages.make_prefix(triton, inputs, metadata)
        except TritonCallError as failure:
            if UNKNOWN_MODEL not in failure.detail:
                raise
            return None

    def remember(self) -> None:
        """What was asked last turned out well."""
        if not self.is_hit:
            self.memory.keep(self._observed, self._prefix)
