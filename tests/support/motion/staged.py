"""A small policy in three models, over a Triton that runs them together and one by one, and counts how often."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reflex.policy_config import PolicyConfig
from reflex_frontend.errors import TritonCallError
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.triton.gateway import Metadata, Outputs, RawTensor, Target
from reflex_frontend.triton.stages import Stage, Stages
from support.fakes import ACTION_DIM, HORIZON, FakeTriton, policy_config

__all__ = ["PREFIX_BYTES", "StagedTriton", "staged_config", "staged_policy", "stages_of"]

PREFIX_BYTES = 64
ENCODED = ("state", "tokens", "token_mask")


def staged_config(*, state_enters: bool = True, **changes: Any) -> PolicyConfig:
    """`policy_config`; without `state_enters` its encoder does not see the state."""
    return policy_config(description="" if state_enters else "stateless", **changes)


def stages_of(config: PolicyConfig) -> Stages:
    """Preprocess takes the images, the encoder what it gives and the words, the denoise model the noise."""
    images = tuple(tensor.name for tensor in config.inputs if tensor.name.startswith("image."))
    encoded = ENCODED if not config.description else ENCODED[1:]
    preprocess = Stage(Target(config.component("preprocess"), "1"), images, ("pixels",))
    encoder = Stage(Target(config.component("encoder"), "1"), ("pixels", "camera_mask", *encoded), ("keys",))
    last = Stage(Target(config.component("denoise"), "1"), ("keys", "noise"), ("actions",))
    return Stages((preprocess, encoder), last, ("keys",), PREFIX_BYTES)


def staged_policy(policy: ServedPolicy) -> ServedPolicy:
    """The same, whose models can be run one by one."""
    return dataclasses.replace(policy, stages=stages_of(policy.config))


@dataclass
class StagedTriton(FakeTriton):
    """Its actions depend on every byte of the observation and of the noise, and on the weights: `salt`."""

    config: PolicyConfig = field(default_factory=staged_config)
    salt: bytes = b""
    ran: Counter[str] = field(default_factory=Counter)
    fails_next: TritonCallError | None = None
    prefix_bytes: int = PREFIX_BYTES
    takes_s: deque[float] = field(default_factory=deque)
    """Of the calls to come; then none takes any time."""

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:
        await super().infer(inputs, metadata)
        await self._ran("ensemble")
        known = {tensor.name: tensor for tensor in inputs}
        for stage in (*(stages := stages_of(self.config)).before, stages.last):
            known |= {tensor.name: tensor for tensor in self._run(stage, known)}
        return {"actions": np.frombuffer(known["actions"].data, np.float32).reshape(known["actions"].shape)}

    async def infer_raw(
        self,
        target: Target,
        inputs: Sequence[RawTensor],
        outputs: tuple[str, ...] | None = None,
        metadata: Metadata = (),
    ) -> Sequence[RawTensor]:
        self.metadata.append(metadata)
        stages = stages_of(self.config)
        stage = next(each for each in (*stages.before, stages.last) if each.target == target)
        assert [tensor.name for tensor in inputs] == list(stage.inputs)
        assert outputs == (None if stage == stages.last else stage.outputs)
        await self._ran(target.model.rpartition("_")[2])
        return self._run(stage, {tensor.name: tensor for tensor in inputs})

    async def _ran(self, what: str) -> None:
        self.ran[what] += 1
        if self.takes_s:
            await asyncio.sleep(self.takes_s.popleft())
        if self.fails_next is not None:
            failure, self.fails_next = self.fails_next, None
            raise failure

    def _run(self, stage: Stage, known: Mapping[str, RawTensor]) -> list[RawTensor]:
        digest = hashlib.sha256(self.salt)
        for name in stage.inputs:
            digest.update(repr(known[name].shape).encode() + bytes(known[name].data))
        seed = np.frombuffer(digest.digest(), np.uint32)
        if stage.outputs == ("actions",):
            values = np.random.RandomState(seed).uniform(-0.1, 0.1, (1, HORIZON, ACTION_DIM)).astype(np.float32)
            return [RawTensor("actions", "FP32", values.shape, values.tobytes())]
        size = self.prefix_bytes if stage.outputs == ("keys",) else 32
        data = (digest.digest() * (size // 32 + 1))[:size]
        return [RawTensor(stage.outputs[0], "UINT8", (1, size), data)]
