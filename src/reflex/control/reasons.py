"""A reason, as the control plane takes one: why a run ended, why a robot was stopped, why a key was taken back."""

from __future__ import annotations

from typing import Final

from reflex.printable import printable

__all__ = ["MAX_REASON_CHARACTERS", "as_reason"]

MAX_REASON_CHARACTERS: Final = 1_000
NOT_SAID: Final = "not said"


def as_reason(text: str) -> str:
    """Whatever a program said, as one line that is taken: what no terminal shows is escaped, and the end is cut off."""
    line = printable(" ".join(text.split())) or NOT_SAID
    return line if len(line) <= MAX_REASON_CHARACTERS else f"{line[: MAX_REASON_CHARACTERS - 1]}…"
