"""One measured figure, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Emit", "Keys", "LeftOut", "Row", "from_line", "line_of"]

Keys = Mapping[str, str | int | float]
"""Of what a figure is, for programs: `{"family": "pi0", "cameras": 3, ...}`."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure."""

    what: str
    value: float
    unit: str
    note: str = ""
    keys: Keys = field(default_factory=dict)

    def __str__(self) -> str:
        value = f"{self.value:.1e}" if 0 < abs(self.value) < 1e-2 else f"{self.value:,.2f}"
        return f"  {self.what:<58} {value:>12} {self.unit:<9} {self.note}".rstrip()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a stage did not measure, and why, as a sentence."""

    why: str


Emit = Callable[[Row | LeftOut], None]
"""Hands a figure to whoever keeps them, at once: what was measured before a stage is stopped counts."""


def line_of(told: Row | LeftOut) -> bytes:
    """As one process tells it another."""
    return json.dumps(asdict(told)).encode()


def from_line(line: bytes) -> Row | LeftOut:
    fields = json.loads(line)
    return LeftOut(**fields) if "why" in fields else Row(**fields)
