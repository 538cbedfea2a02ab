"""One measured figure, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Emit", "Keys", "LeftOut", "Row", "from_line", "left_out_if_raised", "line_of", "told"]

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

    @classmethod
    def of(cls, what: str, exc: Exception) -> LeftOut:
        """For what was raised."""
        return cls(f"{what}: {told(exc)}")


Emit = Callable[[Row | LeftOut], None]
"""Hands a figure to whoever keeps them, at once: what was measured before a stage is stopped counts."""


@contextmanager
def left_out_if_raised(what: str, emit: Emit) -> Iterator[None]:
    """Inside, whatever is raised is said as left out, and whoever called goes on with the next."""
    try:
        yield
    except Exception as exc:  # noqa: BLE001  # ONNX Runtime's own derive from nothing nearer
        emit(LeftOut.of(what, exc))


def told(exc: BaseException) -> str:
    """Its first line; of a long story, such as a server's log, its last one too; its kind where it has no words."""
    first, *more = str(exc).strip().splitlines() or [type(exc).__name__]
    return f"{first[:200]} ... {more[-1].strip()[:300]}" if more else first[:400]


def line_of(one: Row | LeftOut) -> bytes:
    """As one process tells it another."""
    return json.dumps(asdict(one)).encode()


def from_line(line: bytes) -> Row | LeftOut:
    fields = json.loads(line)
    return LeftOut(**fields) if "why" in fields else Row(**fields)
