"""What a run has said and measured, until the queue knows it: lines with numbers, on disk too, and metrics.

A line has one number in the whole run, whichever attempt on whichever machine said it. The queue says at a claim which
one comes next; lines of the attempt before that it does not have yet are told with their old numbers, if that attempt
was this machine's. Those of earlier ones stay in the file.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import deque
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from reflex.durable_files import replace_file
from reflex.training.port import MAX_LINE_CHARACTERS, MAX_LINES_A_BEAT, MAX_METRICS_A_BEAT, Metric

__all__ = ["Batch", "Journal"]

MOST_WAITING: Final = 20_000
"""Lines and metrics that are kept while the queue cannot be reached; of more, the oldest are in the file alone."""
MOST_LINES: Final = 1_000_000
"""Of the file. What says more than that says the same all the time: it is told no more."""
PLACE: Final = "log.place"


@dataclass(frozen=True, slots=True)
class Batch:
    """What one beat tells."""

    first_line: int
    lines: tuple[str, ...]
    metrics: tuple[Metric, ...]


class Journal:
    """May be written to by one thread and read by another. `folder` holds the lines that are there already."""

    def __init__(self, folder: Path, attempt: int = 1, next_line: int = 0) -> None:
        self._file = folder / "log.txt"
        self._lock = threading.Lock()
        self._metrics: deque[Metric] = deque(maxlen=MOST_WAITING)
        self._lines: deque[tuple[int, str]] = deque(maxlen=MOST_WAITING)
        said = _lines_of(self._file)
        untold = said[_told_before(folder / PLACE, attempt, next_line, len(said)) :]
        self._lines.extend(enumerate(untold, next_line))
        self._next = next_line + len(untold)
        self._before = self._next - len(said)
        """A line's number less its place in the file."""
        place = _Place(attempt, next_line, len(said) - len(untold))
        with contextlib.suppress(OSError):  # on a full disk, too
            replace_file(folder / PLACE, json.dumps(astuple(place)).encode())

    def say(self, line: str) -> None:
        """One more line of the run's log."""
        line = " ".join(line.splitlines())[:MAX_LINE_CHARACTERS]
        with self._lock:
            if self._next - self._before >= MOST_LINES:
                return
            with (
                contextlib.suppress(OSError),
                self._file.open("ab") as file,
            ):  # a full disk: the queue is told all the same
                file.write(line.encode(errors="backslashreplace") + b"\n")
            self._lines.append((self._next, line))
            self._next += 1

    def measured(self, metric: Metric) -> None:
        with self._lock:
            self._metrics.append(metric)

    def next_batch(self) -> Batch:
        """The oldest that was not `told`; lines of one batch have numbers without a gap."""
        with self._lock:
            first = self._lines[0][0] if self._lines else self._next
            lines = [text for _, text in list(self._lines)[:MAX_LINES_A_BEAT]]
            return Batch(first, tuple(lines), tuple(list(self._metrics)[:MAX_METRICS_A_BEAT]))

    def told(self, batch: Batch) -> None:
        """The queue has it."""
        with self._lock:
            while self._lines and self._lines[0][0] < batch.first_line + len(batch.lines):
                self._lines.popleft()
            for metric in batch.metrics:
                if self._metrics and self._metrics[0] is metric:
                    self._metrics.popleft()

    @property
    def waits(self) -> bool:
        """Whether anything is left to tell."""
        return bool(self._lines or self._metrics)

    @property
    def next_number(self) -> int:
        """That of the next line."""
        return self._next

    def since(self, number: int, at_most: int) -> list[str]:
        """The newest lines from that number on, told or not."""
        return _lines_of(self._file)[max(number - self._before, 0) :][-at_most:]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the file the lines of an attempt begin."""

    attempt: int
    number: int
    line: int


def _told_before(file: Path, attempt: int, next_line: int, lines: int) -> int:
    """So many lines of the file the queue has, or will never have."""
    try:
        begun = _Place(*(int(each) for each in json.loads(file.read_bytes())))
    except (OSError, ValueError, TypeError):  # there is none yet, or a power cut tore it
        return lines
    told = begun.line + next_line - begun.number
    is_ours = begun.attempt in (attempt, attempt - 1) and begun.line <= told
    return min(told, lines) if is_ours else lines


def _lines_of(file: Path) -> list[str]:
    """A last one that was torn is ended, so that the next one begins on a line of its own."""
    if not file.exists():
        return []
    with file.open("r+b") as opened:
        content = opened.read()
        if content and not content.endswith(b"\n"):
            opened.write(b"\n")
    return content.decode("utf-8", "replace").split("\n")[: content.count(b"\n") + (not content.endswith(b"\n"))]
