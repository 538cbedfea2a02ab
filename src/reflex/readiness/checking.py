"""`Check`: one thing that was looked at, what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from reflex.printable import printable

__all__ = ["WORST_FIRST", "Check", "Status", "failed", "passed", "skipped", "together", "warned", "worst"]

Status = Literal["pass", "fail", "warn", "skip"]
MAX_CHARACTERS: Final = 1_000
WORST_FIRST: Final[tuple[Status, ...]] = ("fail", "warn", "skip", "pass")
"""What was seen of one frontend says nothing of another that was not."""


@dataclass(frozen=True, slots=True)
class Check:
    """`fix` is a command where one exists. A message may repeat what strangers wrote: it is made fit to be shown."""

    id: str
    status: Status
    message: str
    fix: str | None = None

    def as_json(self) -> dict[str, Any]:
        fix = None if self.fix is None else _shown(self.fix)
        return {"id": self.id, "status": self.status, "message": _shown(self.message), "fix": fix}


def passed(name: str, message: str) -> Check:
    return Check(name, "pass", message)


def failed(name: str, message: str, fix: str) -> Check:
    return Check(name, "fail", message, fix)


def warned(name: str, message: str, fix: str | None = None) -> Check:
    return Check(name, "warn", message, fix)


def skipped(name: str, message: str) -> Check:
    """What could not be looked at: another check says why."""
    return Check(name, "skip", message)


def worst(checks: Iterable[Check]) -> Check:
    """Of several findings of one check, the first of the worst."""
    return min(checks, key=lambda check: WORST_FIRST.index(check.status))


def together(checks: Iterable[Check]) -> Check:
    """Of findings in several places: the worst status, with what is so in each place, and what to do in each."""
    found = list(checks)
    first = worst(found)
    same = [check for check in found if check.status == first.status]
    fixes = dict.fromkeys(check.fix for check in same if check.fix is not None)
    return Check(
        first.id, first.status, "; ".join(dict.fromkeys(check.message for check in same)), "; ".join(fixes) or None
    )


def _shown(message: str) -> str:
    text = printable(message)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."
