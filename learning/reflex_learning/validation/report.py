"""What came of a validation: for each rule whether it holds, and where it does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from reflex_learning.validation.catalogue import ALL
from reflex_learning.validation.rule import Finding, Rule

__all__ = ["MOST_FINDINGS", "AxisRange", "Report", "Verdict"]

MOST_FINDINGS: Final = 5
"""Kept of each rule, where nobody wants more; the rest is counted."""
Subject = TypeVar("Subject")


@dataclass(slots=True)
class Verdict:
    """Of one rule; `count` is how often it did not hold."""

    rule: Rule[Any]
    most: int = MOST_FINDINGS
    is_checked: bool = False
    count: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.is_checked and not self.count

    def take(self, findings: Iterable[Finding]) -> None:
        self.is_checked = True
        for finding in findings:
            self.count += 1
            if len(self.findings) < self.most:
                self.findings.append(finding)


@dataclass(frozen=True, slots=True)
class AxisRange:
    """What one axis of state or action did in the whole dataset."""

    feature: str
    label: str
    low: float
    mean: float
    std: float
    high: float


class Report:
    """Verdicts of all rules, and what was looked at."""

    def __init__(self, dataset: str, most: int = MOST_FINDINGS) -> None:
        self.dataset = dataset
        self.episodes = self.frames = self.pictures = 0
        self.axes: list[AxisRange] = []
        self.lengths: list[int] = []
        """Frames of each episode."""
        self.fps = 1.0
        self.verdicts = {rule.id: Verdict(rule, most) for rule in ALL}

    def judge(self, rules: Iterable[Rule[Subject]], subject: Subject) -> None:
        """Ask each rule about the subject."""
        for rule in rules:
            self.verdicts[rule.id].take(rule.check(subject))

    @property
    def failed(self) -> list[Verdict]:
        """Errors first."""
        return sorted((v for v in self.verdicts.values() if v.count), key=lambda v: v.rule.severity != "error")

    @property
    def errors(self) -> int:
        return sum(verdict.rule.severity == "error" for verdict in self.failed)

    @property
    def warnings(self) -> int:
        return len(self.failed) - self.errors

    @property
    def is_valid(self) -> bool:
        return not self.errors

    def told(self) -> dict[str, Any]:
        """As one JSON value."""
        return {
            "dataset": self.dataset,
            "valid": self.is_valid,
            "errors": self.errors,
            "warnings": self.warnings,
            "episodes": self.episodes,
            "frames": self.frames,
            "pictures": self.pictures,
            "rules": [_verdict_told(verdict) for verdict in self.verdicts.values()],
        }


def _verdict_told(verdict: Verdict) -> dict[str, Any]:
    rule = verdict.rule
    state = "failed" if verdict.count else "passed" if verdict.is_checked else "not_checked"
    return {
        "id": rule.id,
        "severity": rule.severity,
        "state": state,
        "holds": rule.holds,
        "fix": rule.fix,
        "count": verdict.count,
        "findings": [dataclasses.asdict(finding) for finding in verdict.findings],
    }
