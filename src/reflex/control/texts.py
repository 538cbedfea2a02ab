"""What a program says, as the control plane takes it: it refuses the whole request for a text that is none of these."""

from __future__ import annotations

from typing import Final

from reflex.printable import printable

__all__ = ["MAX_NAME_CHARACTERS", "MAX_REASON_CHARACTERS", "as_name", "as_reason"]

MAX_NAME_CHARACTERS: Final = 200
MAX_REASON_CHARACTERS: Final = 1_000
NOT_SAID: Final = "not said"


def as_name(text: str) -> str | None:
    """What no terminal shows is escaped, and the end is cut off; None where there is nothing."""
    return printable(text)[:MAX_NAME_CHARACTERS] or None


def as_reason(text: str) -> str:
    """One line, whatever was said: what no terminal shows is escaped, and the end is cut off."""
    line = printable(" ".join(text.split())) or NOT_SAID
    return line if len(line) <= MAX_REASON_CHARACTERS else f"{line[: MAX_REASON_CHARACTERS - 1]}…"
