"""Small policies that continue chunks, over a Triton that plans another one at each call and remembers what it got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex.policy_config import ActionSpaceConfig, PolicyConfig
from reflex_frontend.triton.gateway import Metadata, Outputs, RawTensor
from support.fakes import ACTION_DIM, HORIZON, FakeTriton, chunk, policy_config

__all__ = ["NOISE_DIM", "PlanningTriton", "action_space", "continuing_config", "guidance_of"]

NOISE_DIM = 9
"""Wider than an action: what is beyond is padding."""
Array = npt.NDArray[np.float32]


def action_space(**changes: Any) -> ActionSpaceConfig:
    """Each axis in other units; the last one never moved."""
    fields: dict[str, Any] = {
        "scale": (0.5, 2.0, 1.0, 0.25, 4.0, 1.0, 0.0),
        "offset": (0.0, -1.0, 0.5, 0.0, 3.0, 0.0, 0.04),
        "still": (0.0,) * 6 + (-1.0,),
        "relative": (False,) * ACTION_DIM,
    }
    return ActionSpaceConfig(**fields | changes)


def continuing_config(*, horizon: int = HORIZON, trained: bool = False, **changes: Any) -> PolicyConfig:
    """`policy_config` with the inputs and the output of real-time chunking; `trained` has no bound of a correction."""
    plain = policy_config()
    shapes: dict[str, tuple[int, ...]] = {"noise": (horizon, NOISE_DIM)}
    shapes |= {"prev_chunk": (horizon, NOISE_DIM), "rtc_weights": (horizon,)}
    shapes |= {} if trained else {"rtc_max_guidance": (1,)}
    inputs = [tensor.model_dump() for tensor in plain.inputs if tensor.name != "noise"]
    inputs += [{"name": name, "datatype": "FP32", "shape": shape} for name, shape in shapes.items()]
    outputs = [
        {"name": name, "datatype": "FP32", "shape": (horizon, ACTION_DIM)} for name in ("actions", "actions_normalized")
    ]
    fields: dict[str, Any] = {
        "horizon": horizon,
        "noise_dim": NOISE_DIM,
        "inputs": tuple(inputs),
        "outputs": tuple(outputs),
        "action_space": action_space(),
    }
    return policy_config(**fields | changes)


@dataclass
class PlanningTriton(FakeTriton):
    """Each call has a plan of its own, which `plans` keeps; the robot rests."""

    horizon: int = HORIZON
    spoils_next: bool = False
    """The next plan is not finite, though its actions are."""
    plans: list[Array] = field(default_factory=list)

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:
        outputs = dict(await super().infer(inputs, metadata))
        plan = np.random.RandomState(len(self.calls)).standard_normal((self.horizon, ACTION_DIM)).astype(np.float32)
        if self.spoils_next:
            plan[0, 0], self.spoils_next = np.nan, False
        self.plans.append(plan)
        rest = np.tile(chunk()[:1], (self.horizon, 1))
        return {**outputs, "actions": rest[None], "actions_normalized": plan[None]}


def guidance_of(call: Sequence[RawTensor]) -> tuple[Array, Array, float]:
    """What a call was given of real-time chunking: [horizon, NOISE_DIM], [horizon], and the bound (0 without one)."""
    tensors = {
        tensor.name: np.frombuffer(bytes(tensor.data), np.float32) for tensor in call if tensor.datatype == "FP32"
    }
    bound = tensors.get("rtc_max_guidance", np.zeros(1, np.float32))
    return tensors["prev_chunk"].reshape(-1, NOISE_DIM), tensors["rtc_weights"], float(bound[0])
