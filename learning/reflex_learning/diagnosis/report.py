"""What came of a diagnosis: what is wrong, in one line each, and what was measured on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from reflex_learning.diagnosis.kinds import kind_of
from reflex_learning.diagnosis.scoring import Evidence

__all__ = ["Diagnosis", "Finding", "Trial"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` is the id of a `Kind`; without evidence it was not found by a replay."""

    kind: str
    detail: str = ""
    evidence: Evidence | None = None
    also: tuple[str, ...] = ()
    """Other hypotheses that explain it nearly as well."""

    @property
    def line(self) -> str:
        """All in one line, but for what to do."""
        told = kind_of(self.kind).told + (f" ({self.detail})" if self.detail else "")
        if self.evidence is None:
            return f"{self.kind}: {told}"
        found = self.evidence
        falls = (
            f"the error falls from {found.before:.2f} to {found.after:.2f} in {found.better} of {found.frames} frames"
        )
        return f"{self.kind}: {told}; with that undone {falls}"

    def told(self) -> dict[str, Any]:
        kind, found = kind_of(self.kind), self.evidence
        evidence = None if found is None else {
            "error_before": round(found.before, 4), "error_after": round(found.after, 4),
            "better": found.better, "frames": found.frames, "by_chance": found.by_chance,
        }  # fmt: skip
        return {
            "id": kind.id, "means": kind.means, "line": self.line, "detail": self.detail, "fix": kind.fix,
            "evidence": evidence, "also": list(self.also),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """One hypothesis and the error of a few frames as if it were true."""

    name: str
    error: float
    frames: int


@dataclass(slots=True)
class Diagnosis:
    """Errors are in spreads: see `scoring`."""

    server: str
    dataset: str
    policy: str = ""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    frames: int = 0
    requests: int = 0
    error: float | None = None
    """The mean of the frames, as recorded."""
    mean_error: float | None = None
    """What the mean of all recorded actions has."""
    axes: Sequence[str] = ()
    error_by_axis: Sequence[float] = ()
    error_by_step: Sequence[float] = ()
    trials: list[Trial] = field(default_factory=list)
    latency_ms: float | None = None
    seam: float | None = None
    """Median jump from chunk to chunk, as a share of the largest step that the robot may take."""

    @property
    def is_healthy(self) -> bool:
        return not self.findings

    def told(self) -> dict[str, Any]:
        """As one JSON value."""
        return {
            "server": self.server, "dataset": self.dataset, "policy": self.policy, "healthy": self.is_healthy,
            "findings": [finding.told() for finding in self.findings], "notes": list(self.notes),
            "frames": self.frames, "requests": self.requests, "error": self.error, "mean_error": self.mean_error,
            "error_by_axis": dict(zip(self.axes, self.error_by_axis, strict=False)),
            "error_by_step": list(self.error_by_step), "latency_ms": self.latency_ms, "seam": self.seam,
            "trials": [
                {"hypothesis": each.name, "error": round(each.error, 4), "frames": each.frames} for each in self.trials
            ],
        }  # fmt: skip
