"""Whether a checkpoint's statistics can be those of the robot that an export names, axis by axis.

A policy in other units than its robot's moves it, only wrongly; the ActionGuard clamps what it then asks for, and
nobody is told why. The statistics say where values lay in training, the embodiment where they can lie. What cannot be
is refused; what is only odd is a warning. docs/adr/0014 says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reflex.embodiments import Embodiment
from reflex.wording.guides import guide
from reflex_export.checkpoint import Checkpoint
from reflex_export.exporting.seen import SeenAxis, seen_axes
from reflex_export.exporting.unit_reading import Move, Reading, move_into, percent_ends, read_units, stands_still
from reflex_export.exporting.units import Unit, action_axes, embodiment_in, state_axes

__all__ = ["Doubt", "doubts_about_units"]

_FEWEST_ANGLES: Final = 2
"""One axis alone says nothing about a unit."""
_SURE_ENDS: Final = 3
_ODD_ENDS: Final = 2
"""Ends that clipping to percent leaves: so many are no chance, so many are odd."""
_FRACTION: Final = (0.9, 1.02)
"""Where the upper end of a fraction lies that should be percent."""

_FAR: Final = 4.0
"""Times an axis' range: values that span more were never its own, whatever the unit."""
_MIRRORED: Final = 0.02
_SKEWED: Final = 0.2
"""Of an axis' range: ends of one that are so close to the other's turned over, and so far from the other's own."""
_LEAST_RATIO: Final = 1 / 20
"""Of the spans of state and action on one axis."""
_LEAST_GAP: Final = 0.1
"""Of an axis' range: state and action that are further apart never meet."""


@dataclass(frozen=True)
class Doubt:
    """One thing that does not go together."""

    what: str
    is_certain: bool = True
    """It cannot be right; otherwise it is only odd."""


def doubts_about_units(checkpoint: Checkpoint, embodiment: Embodiment) -> list[Doubt]:
    """What speaks against this robot; empty when nothing does, or where nothing can be known."""
    state = seen_axes(checkpoint.state, state_axes(embodiment))
    action = seen_axes(checkpoint.action, action_axes(embodiment))
    relative = checkpoint.relative_actions
    if relative is not None:  # a difference to the state has no range of its own
        action = [None if is_relative else seen for seen, is_relative in zip(action, relative.mask, strict=True)]
    alone: dict[Doubt, list[str]] = {}
    for feature, axes in (("action", action), ("observation.state", state)):
        for doubt in _doubts_about_feature([seen for seen in axes if seen is not None], embodiment):
            alone.setdefault(doubt, []).append(feature)
    named = [replace(doubt, what=f"{' and '.join(features)}: {doubt.what}") for doubt, features in alone.items()]
    return named or list(_doubts_about_pair(state, action))


def _doubts_about_feature(seen: Sequence[SeenAxis], embodiment: Embodiment) -> Iterator[Doubt]:
    angles = [one for one in seen if one.axis.unit is not None]
    own = angles[0].axis.unit if len(angles) >= _FEWEST_ANGLES else None
    readings = [] if own is None else read_units([one for one in angles if one.axis.unit == own], own)
    if readings and all(reading.unit != own for reading in readings):
        yield _another_unit(seen, readings, embodiment)
        return
    if own is not None and stands_still(angles, own):
        yield Doubt(
            f"no joint goes further than {max(one.reach for one in angles):.2g} {own}: these are turns or normalised "
            "values, or an arm that stood still; look what was recorded"
        )
        return
    for one in seen:
        yield from _doubts_about_axis(one)
    if own == "degrees" and (other := embodiment_in("percent", embodiment)) is not None:
        yield from _doubts_about_percent(angles, other)


def _another_unit(seen: Sequence[SeenAxis], readings: Sequence[Reading], embodiment: Embodiment) -> Doubt:
    units = [reading.unit for reading in readings]
    angles = [one for one in seen if one.axis.unit is not None]
    outside = [one for one in angles if move_into(one, one.axis.unit) != Move()]
    moved = "".join(f"; {name} {_told(move, units[0])}" for name, move in readings[0].moves.items())
    return Doubt(
        f"reads as {' or '.join(units)}, not in the {angles[0].axis.word} of {embodiment.name}: "
        f"{', '.join(_against(one) for one in outside or angles)}{moved}. {_remedy(units, embodiment)}"
    )


def _remedy(units: Sequence[Unit], embodiment: Embodiment) -> str:
    fitting = [other.name for unit in units if (other := embodiment_in(unit, embodiment)) is not None]
    if fitting:
        return f"--embodiment {' or '.join(fitting)} would fit"
    return (
        f"No embodiment of Reflex has these axes in {' or '.join(units)}: convert the data and train again, or write "
        f"one with `reflex init embodiment` (see {guide('embodiments')})"
    )


def _doubts_about_axis(seen: SeenAxis) -> Iterator[Doubt]:
    axis = seen.axis
    move = move_into(seen, axis.unit)
    if move is None:
        is_elsewhere = seen.high < axis.low or axis.high < seen.low or seen.span > _FAR * (axis.high - axis.low)
        yield Doubt(
            f"{_against(seen)}: out of range, and in no other unit that is known here; look what was recorded",
            is_certain=is_elsewhere,
        )
    elif move != Move():
        why = "its zero lies elsewhere, as in older calibrations" if move.shift else "its sign is the other one"
        yield Doubt(f"{_against(seen)}: {_told(move, axis.unit)}, so {why}; convert the data and train again")
    elif _is_fraction(seen):
        yield Doubt(f"{_against(seen)}: it reads as a fraction, not as percent", is_certain=False)


def _is_fraction(seen: SeenAxis) -> bool:
    is_percent = seen.axis.word.startswith("percent") and seen.axis.low == 0
    return is_percent and -0.02 <= seen.low <= 0.1 and _FRACTION[0] <= seen.high <= _FRACTION[1]


def _doubts_about_percent(angles: Sequence[SeenAxis], other: Embodiment) -> Iterator[Doubt]:
    ends = percent_ends(angles)
    if ends >= _ODD_ENDS:
        yield Doubt(
            f"ends at 100 or -100 in {ends} places where no joint has its end stop, as percent do and degrees "
            f"do not: {', '.join(_against(one) for one in angles)}. --embodiment {other.name} would fit",
            is_certain=ends >= _SURE_ENDS,
        )


def _doubts_about_pair(state: Sequence[SeenAxis | None], action: Sequence[SeenAxis | None]) -> Iterator[Doubt]:
    """Positions that are commanded and positions that are measured lie about the same place."""
    measured = {one.axis: one for one in state if one is not None}
    pairs = [(measured[one.axis], one) for one in action if one is not None and one.axis in measured]
    scales = [pair for pair in pairs if pair[0].span > 0 and pair[1].span > 0]
    apart = [pair for pair in scales if not _LEAST_RATIO < pair[1].span / pair[0].span < 1 / _LEAST_RATIO]
    if len(apart) >= _SURE_ENDS and 3 * len(apart) >= 2 * len(scales):
        told = ", ".join(f"{one.axis.name} {_ends(one)} but state {_ends(other)}" for other, one in apart)
        yield Doubt(f"action and observation.state are not in the same unit: {told}; record or convert them alike")
        return
    for pair in pairs:
        yield from _doubts_about_places(*pair)


def _doubts_about_places(state: SeenAxis, action: SeenAxis) -> Iterator[Doubt]:
    axis = action.axis
    if _is_mirrored(state, action):
        yield Doubt(
            f"{axis.name}: action {_ends(action)} is observation.state {_ends(state)} turned over; is the sign of one "
            "of them the other one?",
            is_certain=False,
        )
        return
    if state.gap_to(action) <= _LEAST_GAP * (axis.high - axis.low):
        return
    told = f"{axis.name}: action {_ends(action)}, observation.state {_ends(state)}, which never meet"
    if state.moved(-1, 0).gap_to(action) < 0:
        yield Doubt(f"{told}; the sign of one of them is the other one. Convert the data and train again")
        return
    for shift in axis.quarter_turns(axis.unit):
        if state.moved(1, shift).gap_to(action) < 0:
            yield Doubt(f"{told}, but would if one were shifted by {shift:.4g}: two zeros?", is_certain=False)
            return
    yield Doubt(f"{told}; is the action a difference to the state?", is_certain=False)


def _is_mirrored(state: SeenAxis, action: SeenAxis) -> bool:
    whole = action.axis.high - action.axis.low
    is_close = state.moved(-1, 0).distance_to(action) <= _MIRRORED * whole
    return is_close and state.distance_to(action) >= _SKEWED * whole and state.gap_to(action) < 0


def _told(move: Move, unit: Unit | None) -> str:
    turned = "its sign turned" if move.sign < 0 else ""
    shifted = f"{move.shift:+.4g}{f' {unit}' if unit else ''} added" if move.shift else ""
    return f"fits with {' and '.join(filter(None, (turned, shifted)))}"


def _against(seen: SeenAxis) -> str:
    return f"{seen.axis.name} {_ends(seen)} against {seen.axis.low:.4g} to {seen.axis.high:.4g}"


def _ends(seen: SeenAxis) -> str:
    return f"from {seen.low:.4g} to {seen.high:.4g}"
