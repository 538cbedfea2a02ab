"""What a rule is, and what it says when it does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

__all__ = ["Finding", "Rule", "Severity", "first_difference"]

Severity = Literal["error", "warning"]
"""An error makes a dataset unfit for training; a warning is worth a look."""
Subject = TypeVar("Subject")


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule does not hold."""

    says: str
    file: str | None = None
    episode: int | None = None
    frame: int | None = None
    """In its episode."""


@dataclass(frozen=True, slots=True)
class Rule(Generic[Subject]):
    """`holds` is what is promised while the rule is silent, `fix` what to do when it is not."""

    id: str
    severity: Severity
    holds: str
    fix: str
    check: Callable[[Subject], Iterable[Finding]]


def first_difference(flags: Iterable[bool]) -> Iterator[int]:
    """Where the first True is, if there is one: the frames after it say the same again."""
    yield from (number for number, flag in enumerate(flags) if flag)
    return
