"""`target.kind: expert`: the scripted expert in the place of a server, for demonstrations in the simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from reflex.connector import Observation
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.simulation.axes import SIMULATED
from reflex_runner.simulation.expert import CHUNK_STEPS, Sight, chunk_of
from reflex_runner.tick import DatedChunk

__all__ = ["ExpertTransport"]

ANSWER: Final[dict[str, Any]] = {"model_version": "scripted_expert", "policy_id": "expert"}


class ExpertTransport:
    """Answers for the state that was observed and the cube as it lies now; a transport like those that ask a server."""

    def __init__(self, look: Callable[[], Sight], clock: Clock = SYSTEM_CLOCK) -> None:
        self._look, self._clock = look, clock

    @property
    def control_hz(self) -> float:
        """The embodiment's."""
        return SIMULATED.control_hz

    def open(self) -> None:
        """There is nobody to connect to."""

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:  # noqa: ARG002
        """A plan from the state; it needs neither the pictures nor what was executed of the one before."""
        actions = chunk_of(observation.state, self._look(), CHUNK_STEPS)
        return DatedChunk(seq, observation.captured_s, self._clock.now(), actions, 1 / self.control_hz, ANSWER)

    def close(self) -> None:
        """There is nobody to take leave of."""
