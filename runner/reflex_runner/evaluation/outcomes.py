"""`EpisodeOutcome` and `Evaluation`: how one seed went, and how one policy did on a row of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from reflex_runner.evaluation.intervals import Interval, wilson
from reflex_runner.loop.tally import RunProblem

__all__ = ["EpisodeOutcome", "Evaluation"]


@dataclass(frozen=True, slots=True)
class EpisodeOutcome:
    """How one seed went."""

    seed: int
    instruction: str
    success: bool
    ended_by: str
    """`success`, `max_steps`, or the code of what the policy did wrong."""
    steps: int
    clamped_steps: int
    """Commands that the guard had to change."""
    latency_ms: Mapping[str, float]
    """p50, p95 and p99 of what the policy took to answer."""
    lasted_s: float
    """Of the robot's time."""
    took_s: float
    """Of the computer's."""
    fingerprint: str
    """Of all commands, to the bit: the same one is the same episode."""
    film: Path | None = None
    """What the cameras saw, of one that failed."""

    def as_json(self) -> dict[str, Any]:
        """One line of `episodes.jsonl`."""
        return {
            "seed": self.seed, "instruction": self.instruction, "success": self.success, "endedBy": self.ended_by,
            "steps": self.steps, "clampedSteps": self.clamped_steps, "latencyMs": dict(self.latency_ms),
            "lastedS": round(self.lasted_s, 3), "tookS": round(self.took_s, 3), "fingerprint": self.fingerprint,
            "film": None if self.film is None else str(self.film),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All seeds that were played to their end."""

    policy: str
    """As the server names it, with its hash; `expert`, or the address of a server of another make."""
    episodes: tuple[EpisodeOutcome, ...]
    asked: int
    without: str | None = None
    """What was taken from the policy: `image`, `state=other` and so on."""
    errors: tuple[RunProblem, ...] = ()
    """What kept the others from being played."""
    is_interrupted: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What they were played with."""

    @property
    def successes(self) -> int:
        """How many succeeded."""
        return sum(each.success for each in self.episodes)

    @property
    def rate(self) -> float:
        """Their share; 0 of none."""
        return self.successes / len(self.episodes) if self.episodes else 0.0

    @property
    def interval(self) -> Interval:
        """Wilson's, of 95 %."""
        return wilson(self.successes, len(self.episodes))

    @property
    def is_whole(self) -> bool:
        """Whether every seed was played."""
        return len(self.episodes) == self.asked and not self.errors

    @property
    def times_real_time(self) -> float:
        """How many seconds of the robot's passed in one of the computer's."""
        took_s = sum(each.took_s for each in self.episodes)
        return sum(each.lasted_s for each in self.episodes) / took_s if took_s else 0.0

    @property
    def median_steps(self) -> float | None:
        """Of those that succeeded."""
        steps = [each.steps for each in self.episodes if each.success]
        return float(median(steps)) if steps else None

    @property
    def median_latency_ms(self) -> float | None:
        """Of the episodes' medians."""
        known = [each.latency_ms["p50"] for each in self.episodes if "p50" in each.latency_ms]
        return float(median(known)) if known else None

    def as_json(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "policy": self.policy, "without": self.without, "asked": self.asked, "played": len(self.episodes),
            "successes": self.successes, "rate": round(self.rate, 6),
            "interval": [round(each, 6) for each in self.interval], "medianSteps": self.median_steps,
            "medianLatencyMs": self.median_latency_ms, "timesRealTime": round(self.times_real_time, 2),
            "isInterrupted": self.is_interrupted,
            "errors": [{"code": error.code, "message": error.message} for error in self.errors],
            "settings": dict(self.settings), "episodes": [each.as_json() for each in self.episodes],
        }  # fmt: skip
