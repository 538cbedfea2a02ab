"""What a command is at, said by the work and shown by whoever started it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Progress", "Stage", "unseen"]


@dataclass(frozen=True)
class Stage:
    """A stage begins with the first report of its name, and ends with the first one of another."""

    name: str
    done: float = 0
    total: float | None = None
    """None where nobody knows."""
    unit: Literal["", "bytes", "cases"] = ""
    """Of `done` and `total`; without one they are parts of a whole."""
    detail: str = ""


Progress = Callable[[Stage], object]


def unseen(_stage: Stage) -> None:
    """Where nobody watches."""
