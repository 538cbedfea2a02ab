"""Whether what the guard changed was a correction, or a sign that the numbers mean something else.

A guard that holds half of an axis' steps at its limit hides a mistake: degrees for radians, another embodiment. The
robot would move, and do what nobody asked for. Such a chunk is refused; when most are, the instance says so in /health.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from reflex.errors import InferenceError
from reflex.guard import GuardResult, Violation
from reflex.serve_options import MAX_CLAMPED_PERCENT
from reflex_frontend.policy.outcomes import Outcomes

__all__ = ["NO_LIMIT_PERCENT", "Plausibility"]

NO_LIMIT_PERCENT: Final = 100.0
ALL_AXES: Final = 0.5
"""Of all values half the share of one axis may be changed: a quarter, by default."""
FORGOTTEN_AFTER_S: Final = 30.0
"""An instance that got no more traffic is tried again: only an answer can show that its numbers are right now."""


@dataclass
class Plausibility:
    """The judge of one policy's chunks; `now` is a monotonic clock in seconds. At 100 percent nothing is refused."""

    now: Callable[[], float]
    max_percent: float = MAX_CLAMPED_PERCENT
    _outcomes: Outcomes = field(default_factory=Outcomes)
    _found: str = ""
    _judged_at: float = 0.0

    def check(self, result: GuardResult) -> None:
        """Raise `InferenceError` implausible_action when the guard had to change too much of the chunk."""
        worst = self._worst(result)
        if self.now() - self._judged_at > FORGOTTEN_AFTER_S:
            self._outcomes.forget()
        self._outcomes.add(is_good=worst is None)
        self._judged_at = self.now()
        if worst is not None:
            self._found = _found(worst, result)
            raise self._refusal(worst)

    @property
    def problem(self) -> str | None:
        """What /health says while most answers are refused, by the measure of the circuit breaker."""
        if not self._outcomes.are_bad or self.now() - self._judged_at > FORGOTTEN_AFTER_S:
            return None
        return f"the latest chunks are implausible: {self._found}"

    def _worst(self, result: GuardResult) -> Violation | None:
        """The first violation of the axis that was changed most, when that is too much; None for a plausible chunk."""
        if not result.violations or self.max_percent >= NO_LIMIT_PERCENT:
            return None
        axis, steps = _most(violation.axis for violation in result.violations)
        share = self.max_percent / 100.0
        total, of_all = len(result.actions), result.actions.size
        if steps <= share * total and len(result.violations) <= ALL_AXES * share * of_all:
            return None
        return next(violation for violation in result.violations if violation.axis == axis)

    def _refusal(self, worst: Violation) -> InferenceError:
        return InferenceError(
            "implausible_action",
            f"{self._found}; the chunk is refused. The likely cause is a wrong unit, of the state or of the policy "
            "(degrees for radians, say), or an embodiment that the policy was not trained for",
            context={"axis": worst.axis, "name": worst.name, "max_clamped_share": self.max_percent},
        )


def _most(axes: Iterable[int]) -> tuple[int, int]:
    [(axis, steps)] = Counter(axes).most_common(1)
    return axis, steps


def _found(worst: Violation, result: GuardResult) -> str:
    steps = sum(violation.axis == worst.axis for violation in result.violations)
    return (
        f"ActionGuard would have changed {steps} of {len(result.actions)} steps of {worst.name}, and "
        f"{len(result.violations)} of all {result.actions.size} values; the first wanted {worst.value:.4g} where "
        f"{worst.limit:.4g} is the limit"
    )
