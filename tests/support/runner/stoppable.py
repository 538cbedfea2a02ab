"""What a watchdog calls in the tests: it writes down what it was told, and when."""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["always_fails", "fails_first", "note", "noted"]


def note(rung: str, path: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{time.monotonic()} {rung}\n")


def fails_first(rung: str, path: str, times: int) -> None:
    """As a bus that is still locked."""
    tries = Path(f"{path}.tries")
    with tries.open("a", encoding="utf-8") as file:
        file.write(".")
    if tries.stat().st_size <= times:
        raise OSError("the bus is locked")
    note(rung, path)


def always_fails(rung: str, path: str) -> None:
    if rung == "hold":
        raise OSError("the bus is gone")
    note(rung, path)


def noted(path: Path) -> list[tuple[float, str]]:
    """Moments, and what was noted."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(float(moment), what) for moment, _, what in (line.partition(" ") for line in lines)]
