"""`refuse_failed`: a run does not begin with a check that failed."""

from __future__ import annotations

from collections.abc import Iterable

from reflex.readiness.checking import Check
from reflex_runner.errors import PreflightError

__all__ = ["refuse_failed"]


def refuse_failed(checks: Iterable[Check]) -> None:
    """`PreflightError` with each that failed and its fix."""
    wrong = [f"{each.id}: {each.message}; {each.fix}" for each in checks if each.status == "fail"]
    if wrong:
        raise PreflightError("\n".join(wrong))
