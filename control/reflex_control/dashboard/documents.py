"""Documents that somebody else wrote, a verdict and a parity: read as far as they are what a page can show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["FailedRule", "Judged", "facts_of", "judged"]

MOST_RULES: Final = 100
MOST_FACTS: Final = 12
MOST_CHARACTERS: Final = 200
MOST: Final = 2**53
"""What JSON's numbers hold exactly everywhere; NaN is not below it."""
SEVERITIES: Final = ("error", "warning")


@dataclass(frozen=True, slots=True)
class FailedRule:
    """A rule of the validator that a dataset breaks, so many times."""

    id: str
    severity: str
    count: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What the validation of a dataset found; None is not said."""

    errors: int | None = None
    warnings: int | None = None
    episodes: int | None = None
    frames: int | None = None
    failed: tuple[FailedRule, ...] = ()


def judged(told: str | None) -> Judged:
    """The verdict as the store has it; what is no verdict says nothing."""
    try:
        document = json.loads(told or "{}")
    except ValueError:
        return Judged()
    if not isinstance(document, dict):
        return Judged()
    counts = {name: _count(document.get(name)) for name in ("errors", "warnings", "episodes", "frames")}
    failed = document.get("failed")
    rules = [_rule(each) for each in failed[:MOST_RULES]] if isinstance(failed, list) else []
    return Judged(**counts, failed=tuple(rule for rule in rules if rule is not None))


def facts_of(document: object) -> list[tuple[str, str]]:
    """Names and values of a flat document, with everything in it that is neither text nor number left out."""
    if not isinstance(document, Mapping):
        return []
    written = [(str(name)[:MOST_CHARACTERS], _written(value)) for name, value in document.items()]
    return [(name, value) for name, value in written if value is not None][:MOST_FACTS]


def _rule(told: Any) -> FailedRule | None:  # noqa: ANN401 - of a stranger
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        return None
    severity, count = told.get("severity"), _count(told.get("count"))
    return FailedRule(told["id"][:MOST_CHARACTERS], severity if severity in SEVERITIES else "error", count or 0)


def _count(told: object) -> int | None:
    return told if isinstance(told, int) and not isinstance(told, bool) and 0 <= told < MOST else None


def _written(value: object) -> str | None:
    if isinstance(value, str):
        return value[:MOST_CHARACTERS] or None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.7g}" if isinstance(value, int | float) and abs(value) < MOST else None
