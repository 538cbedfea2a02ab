"""`Tally`: the numbers of a run, while it goes on and when it is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex_runner.tick import DatedChunk, Tick

__all__ = ["RunProblem", "RunnerResult", "Tally"]

LATENCIES: Final = 10_000
"""The newest answers of which the percentiles are told: enough for hours, and no memory that grows."""
PERCENTILES: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class RunProblem:
    """One error of a run."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class RunnerResult:
    """How a run ended, or stands."""

    steps: int
    """Periods in which a chunk was followed."""
    applied_steps: int
    """Of those, the commands that were handed to the robot."""
    safe_stops: int
    """Stops but for the end that was wanted from the start."""
    errors: tuple[RunProblem, ...]
    """The first one first: it is why the run stopped, the others came of it."""
    last_action_chunk: npt.NDArray[np.float32] | None
    latency_ms: Mapping[str, float]
    """p50, p95 and p99 of what the policy took to answer."""
    overruns: int
    """Periods of the control loop that were missed; none is made up for."""
    stale_observations: int
    """Those that were too old to be sent."""
    holds: int
    """Periods in which the last command was held, for want of a fresh chunk."""
    clamped_steps: int
    """Commands that the guard had to change."""
    refused_chunks: int
    """Answers that were not followed at all: not finite, of another shape, or too late."""

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong."""
        return not self.errors

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        last = None if self.last_action_chunk is None else self.last_action_chunk.tolist()
        return {
            "ok": self.ok, "steps": self.steps, "appliedSteps": self.applied_steps, "safeStops": self.safe_stops,
            "errors": [{"code": error.code, "message": error.message} for error in self.errors],
            "lastActionChunk": last, "latencyMs": dict(self.latency_ms), "overruns": self.overruns,
            "staleObservations": self.stale_observations, "holds": self.holds, "clampedSteps": self.clamped_steps,
            "refusedChunks": self.refused_chunks,
        }  # fmt: skip


class Tally:
    """Counts. Each number is written by one thread; any thread may ask for the result at any time."""

    def __init__(self) -> None:
        self.steps = self.applied_steps = self.safe_stops = self.overruns = 0
        self.stale_observations = self.holds = self.clamped_steps = self.refused_chunks = 0
        self._errors: list[RunProblem] = []
        self._last_chunk: DatedChunk | None = None
        self._latencies_ms: deque[float] = deque(maxlen=LATENCIES)

    def ticked(self, tick: Tick) -> None:
        """Count a period of the control loop."""
        self.steps += tick.kind == "move"
        self.applied_steps += tick.kind == "move" and tick.applied
        self.holds += tick.kind == "hold"
        self.clamped_steps += bool(tick.violations)

    def answered(self, chunk: DatedChunk, took_s: float) -> None:
        """Count an answer of the policy."""
        self._last_chunk = chunk
        self._latencies_ms.append(took_s * 1000)

    def failed(self, code: str, message: str) -> None:
        """Keep an error, once; the first stays the first."""
        problem = RunProblem(code, message)
        if problem not in self._errors:
            self._errors.append(problem)

    def result(self) -> RunnerResult:
        """The numbers so far."""
        last = None if self._last_chunk is None else self._last_chunk.actions
        return RunnerResult(
            self.steps, self.applied_steps, self.safe_stops, tuple(self._errors), last,
            _percentiles(list(self._latencies_ms)), self.overruns, self.stale_observations, self.holds,
            self.clamped_steps, self.refused_chunks,
        )  # fmt: skip


def _percentiles(latencies_ms: Sequence[float]) -> dict[str, float]:
    if not latencies_ms:
        return {}
    values = np.percentile(np.asarray(latencies_ms), PERCENTILES)
    return {f"p{share}": round(float(value), 3) for share, value in zip(PERCENTILES, values, strict=True)}
