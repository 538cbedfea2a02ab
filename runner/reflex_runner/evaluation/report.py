"""`EvaluationReport`: everything that one `reflex eval` found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reflex_runner.evaluation.comparison import Comparison
from reflex_runner.evaluation.outcomes import Evaluation
from reflex_runner.loop.tally import RunProblem

__all__ = ["EvaluationReport"]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The policy, the one that it was compared with, and itself without some of what it is told."""

    evaluation: Evaluation
    against: Comparison | None = None
    ablations: tuple[Comparison, ...] = ()
    """`second.without` says what was taken away."""

    @property
    def all(self) -> tuple[Evaluation, ...]:
        """Every evaluation, in the order in which they were played."""
        others = (*(() if self.against is None else (self.against,)), *self.ablations)
        return (self.evaluation, *(each.second for each in others))

    @property
    def errors(self) -> tuple[RunProblem, ...]:
        """Of all of them."""
        return tuple(error for each in self.all for error in each.errors)

    @property
    def is_interrupted(self) -> bool:
        """Whether somebody ended it before its time."""
        return any(each.is_interrupted for each in self.all)

    def as_json(self) -> dict[str, Any]:
        """The result of `reflex eval --json`, and `evaluation.json`."""
        return {
            "ok": not self.errors and not self.is_interrupted,
            **self.evaluation.as_json(),
            "against": None if self.against is None else self.against.as_json(),
            "ablations": [each.as_json() for each in self.ablations],
        }
