"""In which unit the values of a robot's axes read, and which axes have another zero or sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reflex_export.exporting.seen import SeenAxis
from reflex_export.exporting.units import UNITS, Unit

__all__ = ["Move", "Reading", "move_into", "percent_ends", "read_units", "stands_still"]

_TOLERANCE: Final = 0.05
"""Of an axis' range, by which values of an arm may lie outside: arms and their calibrations differ."""
_PERCENT_TOLERANCE: Final = 0.005
"""LeRobot clips to -100 and 100."""
_OTHER_TOLERANCE: Final = 0.1
"""The same for a unit that is not the embodiment's, whose ranges are converted."""
_LEAST_SHIFT: Final = 0.15
"""Values that lie outside by less were recorded on another arm, not with another zero."""
_LEAST_USE: Final = 0.2
"""Some axis goes as far of its range's end, or the unit is not this one: nobody records an arm that stands still."""
_NO_USE: Final = 0.06
"""No axis goes further: values are in a unit whose numbers are far smaller."""
_STILL: Final = 0.004
"""No axis goes further: of degrees less than one, which no unit known here explains."""
_STOP: Final[tuple[float, float]] = (99.0, 100.05)
"""Values that were clipped to percent end in here."""
_APART: Final = 1.5
"""An end stop in degrees must differ by more from 100, or the two cannot be told apart there."""


@dataclass(frozen=True)
class Move:
    """What makes values fit: turned over, then shifted."""

    sign: int = 1
    shift: float = 0.0


@dataclass(frozen=True)
class Reading:
    """A unit in which all axes fit, some of them only once they are moved."""

    unit: Unit
    moves: Mapping[str, Move] = field(default_factory=dict)
    """By the axis' name."""


def read_units(angles: Sequence[SeenAxis], own: Unit) -> list[Reading]:
    """What the values of these axes can be in, best first: the fewest moved axes, then the embodiment's own unit.

    Readings after the first are as good as it. Empty where no unit explains all axes.
    """
    found = [reading for unit in UNITS if (reading := _read_as(unit, angles, own)) is not None]
    if not found:
        return []
    fewest = min(len(reading.moves) for reading in found)
    best = [reading for reading in found if len(reading.moves) == fewest]
    if any(reading.unit == own for reading in best) and not _overlooks_smaller(best, angles, own):
        return [reading for reading in best if reading.unit == own]
    return [reading for reading in best if reading.unit != own]


def move_into(seen: SeenAxis, unit: Unit | None) -> Move | None:
    """The least that makes the values fit; None where nothing does."""
    shifts = seen.axis.quarter_turns(unit)
    bounds, tolerance = seen.axis.range_in(unit), _tolerance_of(seen, unit)
    if seen.fits(bounds, _LEAST_SHIFT):
        shifts = ()
    moves = [Move(), Move(-1), *(Move(1, shift) for shift in shifts), *(Move(-1, shift) for shift in shifts)]
    return next((move for move in moves if seen.moved(move.sign, move.shift).fits(bounds, tolerance)), None)


def stands_still(angles: Sequence[SeenAxis], own: Unit) -> bool:
    """Whether all values lie so close to zero that they can hardly be in this unit."""
    return _use(own, angles) < _STILL


def percent_ends(angles: Sequence[SeenAxis]) -> int:
    """How many ends of degrees lie where clipping to percent leaves them and no end stop of the arm is."""
    if any(seen.reach > _STOP[1] for seen in angles):
        return 0
    ends = [(abs(seen.low), abs(seen.axis.low)) for seen in angles if seen.low < 0]
    ends += [(abs(seen.high), abs(seen.axis.high)) for seen in angles if seen.high > 0]
    return sum(_STOP[0] <= end <= _STOP[1] and abs(stop - 100) > _APART for end, stop in ends)


def _tolerance_of(seen: SeenAxis, unit: Unit | None) -> float:
    """Of the range of an axis, by which values in `unit` may lie outside."""
    if unit != seen.axis.unit:
        return _OTHER_TOLERANCE
    return _PERCENT_TOLERANCE if unit == "percent" else _TOLERANCE


def _read_as(unit: Unit, angles: Sequence[SeenAxis], own: Unit) -> Reading | None:
    moves = {seen.axis.name: move_into(seen, unit) for seen in angles}
    if unit != own and _use(unit, angles) < _LEAST_USE:
        return None
    changed = {name: move for name, move in moves.items() if move is not None and move != Move()}
    if None in moves.values() or 2 * len(changed) > len(angles):
        return None
    return Reading(unit, changed)


def _overlooks_smaller(best: Sequence[Reading], angles: Sequence[SeenAxis], own: Unit) -> bool:
    """Small numbers fit any large range; that they fill a smaller one says more."""
    return len(best) > 1 and _use(own, angles) < _NO_USE


def _use(unit: Unit, angles: Sequence[SeenAxis]) -> float:
    """How far the furthest value goes, of the furthest end of a range."""
    furthest = max(max(map(abs, seen.axis.range_in(unit))) for seen in angles)
    return max(seen.reach for seen in angles) / furthest
