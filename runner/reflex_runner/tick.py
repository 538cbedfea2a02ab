"""What happens in a run, as whoever records or shows it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from reflex.connector import Observation
from reflex.guard import Violation

__all__ = ["DatedChunk", "Event", "Listener", "Tick", "TickKind"]

FloatArray = npt.NDArray[np.float32]
TickKind = Literal["wait", "move", "hold", "stop"]
"""`wait`: nothing was commanded yet in this run; `stop`: a rung of the stop ladder, or the stop that holds."""


@dataclass(frozen=True, slots=True, eq=False)
class DatedChunk:
    """A policy's answer. Its first action belongs to `captured_s`, whenever the answer came."""

    seq: int
    """Of the observation that it answers; counts from 0 in each run."""
    captured_s: float
    """When that observation was measured, on the monotonic clock."""
    received_s: float
    actions: FloatArray
    """Of shape [horizon, action_dim], in the units of the embodiment."""
    step_s: float
    """Seconds from one action to the next."""
    answer: Mapping[str, Any] = field(default_factory=dict)
    """The other fields of the server's answer: model_version, mode, timings, real-time chunking."""


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """One period of the control loop."""

    step: int
    at_s: float
    kind: TickKind
    measured: FloatArray | None = None
    """The newest measured state."""
    wanted: FloatArray | None = None
    """What the chunk says for this moment, before the guard."""
    command: FloatArray | None = None
    """What left the guard; in dry_run what would have been sent."""
    applied: bool = False
    """Whether the command was handed to the robot."""
    chunk_seq: int | None = None
    violations: tuple[Violation, ...] = ()
    late_s: float = 0.0
    """By how much this period began after its moment."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that an operator wants to know of: a stop, a refusal, a camera that froze."""

    at_s: float
    level: Literal["info", "warning", "error"]
    code: str
    message: str


class Listener(Protocol):
    """Told of everything, from the threads of the run: must not wait, and must not raise."""

    def observed(self, seq: int, observation: Observation) -> None:
        """An observation was sent to the policy."""
        ...

    def answered(self, chunk: DatedChunk) -> None:
        """The policy answered."""
        ...

    def ticked(self, tick: Tick) -> None:
        """A period of the control loop is over."""
        ...

    def noted(self, event: Event) -> None:
        """Something happened that is worth a line."""
        ...
