"""Real-time chunking: each request of an episode continues the chunk that the robot is executing.

Step i of a chunk belongs to the moment i control periods after its observation, whose clock is this server's: the
receipt of the request. A client that knows better says so, in `executed_steps`, `inference_delay_steps`, or with the
actions themselves, `prev_actions`, and then nothing that is kept here counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reflex.policy_config import PolicyConfig
from reflex.wire import RtcReason
from reflex_frontend.motion.action_space import normalized, reanchored
from reflex_frontend.motion.delay import Delays
from reflex_frontend.motion.leftovers import LeftOver, LeftOvers
from reflex_frontend.motion.weights import given_weights, guidance_weights
from reflex_frontend.observation.guidance import Guidance
from reflex_frontend.observation.observation import check_state, check_steps
from reflex_frontend.observation.request import ActRequest, refuse
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.settings import RtcSchedule

__all__ = ["Asked", "Continuation", "RealTimeChunking", "policy_key"]

Array = npt.NDArray[np.float32]
NOTHING: Array = np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as far as it matters here. Times are monotonic seconds."""

    request: ActRequest
    owner: str | None
    """The session that asks, or the name of the key; None where nobody needs one."""
    received_at: float
    """Its first byte: the observation is not younger."""
    parsed_at: float


@dataclass(frozen=True, slots=True, eq=False)
class Continuation:
    """What one request continues: `guidance`, or None and the reason why nothing is continued."""

    delay_steps: int
    guidance: Guidance | None = None
    reason: RtcReason | None = None
    executed_steps: int | None = None
    """Of the chunk that is kept here; None where the client sent the rest itself."""


def policy_key(config: PolicyConfig) -> Hashable:
    """The same for all variants of one export: they differ in denoising steps, and share weights and statistics."""
    return config.export_id, config.component("encoder")


@dataclass
class RealTimeChunking:
    """The rule for one server. `continued` before an inference, `note` after it."""

    now: Callable[[], float]
    schedule: RtcSchedule = "linear"
    execution_horizon: int | None = None
    """Of the rest of a chunk, how many steps hold the next one; None: all of them."""
    max_guidance: float = 10.0
    left_overs: LeftOvers = field(init=False)
    delays: Delays = field(default_factory=Delays)

    def __post_init__(self) -> None:
        self.left_overs = LeftOvers(self.now)

    def continued(self, asked: Asked, policy: ServedPolicy) -> Continuation:
        """What the model is to continue; raises `ServiceError` for steps or actions that are none of this policy's."""
        check_state(asked.request, policy.config.state_dim)
        check_steps(asked.request, policy.config)
        delay = self._delay_steps(asked, policy)
        found = self._left(asked, policy)
        if not isinstance(found, tuple):
            return Continuation(delay, reason=found)
        left, executed = found
        if not len(left):
            return Continuation(delay, reason="used_up", executed_steps=executed)
        delay, guidance = self._guidance(policy.config, left, delay)
        return Continuation(delay, guidance, executed_steps=executed)

    def note(self, asked: Asked, config: PolicyConfig, chunk: Array | None, finished_at: float) -> None:
        """An answer that is on its way: `chunk` [horizon, action_dim] is normalised, None where the model gave none."""
        key, request = policy_key(config), asked.request
        self.delays.of(key).note(finished_at - asked.parsed_at)
        if request.episode_id is None:
            return
        episode = (request.episode_id, asked.owner)
        if chunk is None:
            self.left_overs.forget(episode)
        else:
            self.left_overs.keep(episode, LeftOver(key, chunk, request.state, asked.received_at))

    def _delay_steps(self, asked: Asked, policy: ServedPolicy) -> int:
        """How many actions will be executed before the answer is there; the time that it has taken already is known."""
        if asked.request.inference_delay_steps is not None:
            return asked.request.inference_delay_steps
        expected_s = self.delays.of(policy_key(policy.config)).expected_s
        waited_s = asked.parsed_at - asked.received_at
        steps = math.ceil((waited_s + expected_s) * policy.embodiment.control_hz)
        return min(steps, policy.config.horizon)

    def _left(self, asked: Asked, policy: ServedPolicy) -> tuple[Array, int | None] | RtcReason:
        """What is left of the chunk that is being executed, and how much of it is not; or why there is none."""
        request = asked.request
        if request.prev_actions is not None:
            return _given(request, policy.config), None
        if request.episode_id is None:
            return "no_episode"
        kept = self.left_overs.find((request.episode_id, asked.owner))
        if kept is None:
            return "first_chunk"
        if kept.policy != policy_key(policy.config):
            return "policy_changed"
        if self.left_overs.is_expired(kept):
            return "expired"
        executed = request.executed_steps
        if executed is None:
            executed = _steps_since(kept, asked, policy.embodiment.control_hz)
        return _rest(kept, executed, request, policy.config), executed

    def _guidance(self, config: PolicyConfig, left: Array, delay: int) -> tuple[int, Guidance]:
        """The delay that is reckoned with, and the inputs; a policy that was trained for it has a rule of its own."""
        if is_trained_for_it(config):
            given = min(delay, len(left), config.rtc_training_max_delay or delay)
            return given, Guidance(left, given_weights(config.horizon, given), 0.0)
        end = len(left) if self.execution_horizon is None else min(self.execution_horizon, len(left))
        weights = guidance_weights(self.schedule, config.horizon, delay, end)
        return delay, Guidance(left, weights, self.max_guidance)


def is_trained_for_it(config: PolicyConfig) -> bool:
    """Its graph takes the actions that are given, and no bound of a correction."""
    names = {tensor.name for tensor in config.inputs}
    return "prev_chunk" in names and "rtc_max_guidance" not in names


def _given(request: ActRequest, config: PolicyConfig) -> Array:
    """The rest that the client sent, normalised; 422 where nobody knows how."""
    if not request.prev_actions:
        return NOTHING
    if config.action_space is None:
        raise refuse(
            "chunk_mismatch",
            "this policy was exported before it was recorded how its actions are normalised, so prev_actions cannot be "
            "continued; send executed_steps instead, or export the policy again",
            field="prev_actions",
        )
    return normalized(config.action_space, request.prev_actions, request.state)


def _steps_since(kept: LeftOver, asked: Asked, control_hz: float) -> int:
    return max(0, round((asked.received_at - kept.received_at) * control_hz))


def _rest(kept: LeftOver, executed: int, request: ActRequest, config: PolicyConfig) -> Array:
    rest = kept.chunk[executed:]
    if config.action_space is None or not len(rest):
        return rest
    return reanchored(config.action_space, rest, kept.state, request.state)
