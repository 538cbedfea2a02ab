"""A task in which the world moves while a chunk goes stale: the arm follows a target on its way round a circle.

The policy is right at the moment of its observation, and takes the target to stay where it is. How the target moves
follows from where it is, so a head can learn it from states.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.embodiments import load_embodiment
from reflex.policy_config import PolicyConfig
from reflex.traces.schema import PolicyRecord, RequestRecord
from reflex_frontend.triton.gateway import Metadata, Outputs, RawTensor
from support.fakes import ACTION_DIM, FRANKA_REST, STATE_DIM, FakeTriton, outputs, policy_config
from support.traces import STARTED_AT, header, request, write_trace

__all__ = [
    "CONTROL_HZ",
    "HORIZON",
    "FollowingTriton",
    "drifting_policy",
    "following",
    "recorded_drift",
    "seen",
    "where",
]

Array = npt.NDArray[np.float32]

CONTROL_HZ: Final = 20.0
HORIZON: Final = 20
TURN_RAD_S: Final = 1.5
NAME: Final = "small"
HASH: Final = "sha256:" + "ab" * 32


def where(angle: float, radius: float, after_s: float) -> tuple[float, float]:
    """The target, that much later."""
    turned = angle + TURN_RAD_S * after_s
    return radius * float(np.cos(turned)), radius * float(np.sin(turned))


def seen(target: Sequence[float]) -> tuple[float, ...]:
    """The state that shows the target."""
    return (*target, *(0.0,) * (STATE_DIM - 2))


def following(state: Sequence[float]) -> Array:
    """The policy: every action is where the target is now; the other axes rest."""
    chunk = np.tile(np.asarray(FRANKA_REST, np.float32), (HORIZON, 1))
    chunk[:, :2] = state[:2]
    return chunk


def drifting_policy(**changes: object) -> PolicyConfig:
    shape = ({"name": "actions", "datatype": "FP32", "shape": (HORIZON, ACTION_DIM)},)
    return policy_config(cameras={"base": False}, horizon=HORIZON, outputs=shape, **changes)


class FollowingTriton(FakeTriton):
    """Gives the policy's chunk for the state that it is sent, so much later."""

    takes_s: float = 0.1

    async def infer(self, inputs: Sequence[RawTensor], metadata: Metadata = ()) -> Outputs:
        await super().infer(inputs, metadata)
        state = next(tensor for tensor in inputs if tensor.name == "state")
        await asyncio.sleep(self.takes_s)
        return outputs(following(np.frombuffer(state.data, np.float32).tolist()))


def _policy() -> PolicyRecord:
    return PolicyRecord(
        policy_id=NAME, policy_hash=HASH, model_version=f"{NAME}@{'ab' * 6}", family="test", embodiment="franka",
        state_dim=STATE_DIM, action_dim=ACTION_DIM, horizon=HORIZON, denoising_steps=10, noise_dim=ACTION_DIM,
        action_names=load_embodiment("franka").action_names, control_hz=CONTROL_HZ,
    )  # fmt: skip


def _requests(episodes: int, each: int, every_steps: int) -> Iterator[RequestRecord]:
    random = np.random.default_rng(5)
    for episode in range(episodes):
        angle, radius = random.uniform(0, 2 * np.pi), random.uniform(0.4, 1.0)
        for number in range(each):
            at = number * every_steps / CONTROL_HZ
            state = seen(where(angle, radius, at))
            yield request(
                episode * each + number + 1, at=STARTED_AT + episode * 100 + at + 0.01, latency_ms=10.0,
                policy=_policy().model_version, episode_id=f"e{episode}", state=state, actions_raw=following(state),
            )  # fmt: skip


def recorded_drift(path: Path, *, episodes: int = 20, each: int = 20, every_steps: int = 2) -> Path:
    """A recording of robots that ask again every so many steps."""
    return write_trace(path, [header({"a": _policy()}), *_requests(episodes, each, every_steps)])
