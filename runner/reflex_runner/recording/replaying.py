"""A replay: recorded commands as chunks, as a policy would give them. The run that asks checks each with its guard.

The first observation is the recording's beginning. What the guard holds back, like a first pose that is far away, it
holds back here as well; a replay never goes faster to make up for it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np

from reflex.connector import Observation
from reflex.embodiments import Embodiment
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.recording.commands import RecordedCommands, read_commands
from reflex_runner.tick import DatedChunk

__all__ = ["Replay"]

HORIZON_S: Final = 1.0
"""How far ahead each chunk tells; a loop that asks late has enough until it asks again."""


class Replay:
    """A `Transport`: what it is asked for is what was recorded for that moment.

    After the last command it says that command again, so that the robot holds; `is_over` from then on.
    """

    def __init__(
        self, recording: Path, embodiment: Embodiment, episode: int = 0, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._recorded: RecordedCommands = read_commands(recording, embodiment, episode)
        self._step_s = 1.0 / embodiment.control_hz
        self._clock = clock
        self._begin_s: float | None = None
        self._asked_s = 0.0

    @property
    def control_hz(self) -> float:
        """That of the embodiment: times between are interpolated from those recorded."""
        return 1.0 / self._step_s

    @property
    def seconds(self) -> float:
        """From the first recorded command to the last."""
        return float(self._recorded.times_s[-1])

    @property
    def steps(self) -> int:
        """Periods of the control loop until the last command."""
        return math.floor(self.seconds / self._step_s + 1e-6) + 1

    @property
    def is_over(self) -> bool:
        """Whether the last observation came after the last command."""
        return self._begin_s is not None and self._asked_s >= self.seconds

    def open(self) -> None:
        """Begin anew with the next observation."""
        self._begin_s = None

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None = None) -> DatedChunk:  # noqa: ARG002
        """What was commanded from this moment of the recording on."""
        if self._begin_s is None:
            self._begin_s = observation.captured_s
        self._asked_s = max(0.0, observation.captured_s - self._begin_s)
        count = math.ceil(HORIZON_S / self._step_s)
        wanted_s = self._asked_s + np.arange(count) * self._step_s
        recorded = self._recorded
        axes = [np.interp(wanted_s, recorded.times_s, axis) for axis in recorded.commands.T]
        actions = np.stack(axes, axis=1).astype(np.float32)
        return DatedChunk(seq, observation.captured_s, self._clock.now(), actions, self._step_s, {"replay": True})

    def close(self) -> None:
        """Nothing is held."""
