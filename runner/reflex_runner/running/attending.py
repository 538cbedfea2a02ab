"""`Attendant`: goes along with a series of episodes, sees each of them, and may stand between robot and policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from reflex.connector import CameraFrame, Observation
from reflex_runner.loop.tally import RunnerResult
from reflex_runner.tick import DatedChunk, Event, Listener, Tick
from reflex_runner.transports.transport import Transport

__all__ = ["Attendant", "EpisodePlan", "PlayedEpisode", "Unattended"]


@dataclass(frozen=True, slots=True)
class EpisodePlan:
    """How one episode begins, and what is to be done in it."""

    seed: int
    instruction: str | None = None
    """None: what the robot says by an attribute `instruction`, else that of the settings."""
    noise_seed: int | None = None
    """`target.seed` of this episode; None: that of the settings."""


@dataclass(frozen=True, slots=True)
class PlayedEpisode:
    """How one went."""

    seed: int
    instruction: str
    success: bool | None
    """None: the robot does not know."""
    ended_by: str
    """`success`, `max_steps`, or the code of what stopped it."""
    result: RunnerResult

    def as_json(self) -> dict[str, Any]:
        """One line of `reflex connect --episodes --json`."""
        return {
            "seed": self.seed, "instruction": self.instruction, "success": self.success, "endedBy": self.ended_by,
            "steps": self.result.steps, "clampedSteps": self.result.clamped_steps,
            "latencyMs": dict(self.result.latency_ms),
        }  # fmt: skip


class Attendant(Listener, Protocol):
    """A `Listener` that is told of each episode besides."""

    def began(self, plan: EpisodePlan, frames: Callable[[], Mapping[str, CameraFrame]] | None) -> None:
        """That episode begins; `frames` gives the newest pictures, where there are any."""
        ...

    def between(self, transport: Transport) -> Transport:
        """What is asked in its place, in this episode."""
        ...

    def ended(self, episode: PlayedEpisode) -> None:
        """It went to its end: not told of one that an operator or a fault of the set-up cut short."""
        ...


class Unattended:
    """An `Attendant` that does nothing; to be made something of."""

    def began(self, plan: EpisodePlan, frames: Callable[[], Mapping[str, CameraFrame]] | None) -> None:
        """Nothing to do."""

    def between(self, transport: Transport) -> Transport:
        """As it is."""
        return transport

    def ended(self, episode: PlayedEpisode) -> None:
        """Nothing to do."""

    def observed(self, seq: int, observation: Observation) -> None:
        """Nothing to do."""

    def answered(self, chunk: DatedChunk) -> None:
        """Nothing to do."""

    def ticked(self, tick: Tick) -> None:
        """Nothing to do."""

    def noted(self, event: Event) -> None:
        """Nothing to do."""
