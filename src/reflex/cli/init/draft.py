"""An embodiment that is being written: axes from wherever, and the JSON that comes of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.errors import SetupError

__all__ = ["Axis", "Draft", "write_draft"]

DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the actions, in its own unit. `max_step` is its top speed divided by the rate."""

    name: str
    unit: str
    low: float
    high: float
    max_step: float


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything of an embodiment; `state` are name, unit and a typical value of each state axis."""

    name: str
    description: str
    control_hz: float
    axes: Sequence[Axis]
    state: Sequence[tuple[str, str, float]]
    sources: Sequence[tuple[str, str]]

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "state_names": [name for name, _, _ in self.state],
            "state_units": [unit for _, unit, _ in self.state],
            "mean_state": [_rounded(value) for _, _, value in self.state],
            "action_names": [axis.name for axis in self.axes],
            "action_units": [axis.unit for axis in self.axes],
            "action_low": [_rounded(axis.low) for axis in self.axes],
            "action_high": [_rounded(axis.high) for axis in self.axes],
            "action_max_step": [_rounded(axis.max_step) for axis in self.axes],
            "control_hz": self.control_hz,
            "sources": [{"what": what, "source": source} for what, source in self.sources],
        }


def write_draft(draft: Draft, file: Path, *, replace: bool) -> None:
    """Write it when `reflex serve` would take it; `SetupError` says what is wrong, and nothing is written then."""
    from reflex.embodiments import parse_embodiment

    text = json.dumps(draft.as_json(), indent=2) + "\n"
    try:
        parse_embodiment(draft.name, text.encode())
    except SetupError as exc:
        raise SetupError(f"nothing was written: {exc}") from exc
    try:
        with file.open("w" if replace else "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as exc:
        raise SetupError(f"{file} is there already; give another name, or --replace") from exc
    except OSError as exc:
        raise SetupError(f"{file} cannot be written ({exc.strerror}); give a file in a folder that is there") from exc


def _rounded(value: float) -> float:
    """Six decimals, or as many digits where that would be zero."""
    rounded = round(value, DECIMALS)
    return rounded if rounded or not math.isfinite(value) else float(f"{value:.{DECIMALS}g}")
