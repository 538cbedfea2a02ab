"""What the trainer says on stderr: lines of its log between the states of a progress bar that overwrites itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from reflex.training.port import MAX_LINE_CHARACTERS

__all__ = ["TrainerText"]

BAR: Final = re.compile(r"^Training: .*?(\d+)/(\d+) \[[^\]]*\]")
ENDS: Final = re.compile(rb"[\r\n]")
LONGEST: Final = 4 * MAX_LINE_CHARACTERS


class TrainerText:
    """Takes bytes as they come, and gives whole lines; the newest state of the bar becomes `step`."""

    def __init__(self, steps: int) -> None:
        self.step: int | None = None
        """By the bar, which counts from where a run was resumed."""
        self._steps = steps
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[str]:
        """Lines, without the bar and without what is longer than a line may be."""
        *whole, self._rest = ENDS.split(self._rest + piece)
        self._rest = self._rest[:LONGEST]
        for part in whole:
            yield from self._line(part)

    def end(self) -> Iterator[str]:
        """What came after the last end of a line."""
        rest, self._rest = self._rest, b""
        yield from self._line(rest)

    def _line(self, part: bytes) -> Iterator[str]:
        text = part.decode("utf-8", "replace")
        bar = BAR.match(text)
        if bar is not None:
            self.step = self._steps - int(bar[2]) + int(bar[1])
            text = text[bar.end() :]
        text = "".join(each if each.isprintable() or each == "\t" else "\N{REPLACEMENT CHARACTER}" for each in text)
        if text.strip():
            yield text.rstrip()[:MAX_LINE_CHARACTERS]
