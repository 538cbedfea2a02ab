"""Units of angles, and the range of an axis in each of them.

degrees   as LeRobot records SO arms by default
percent   -100 to 100 between the end stops of calibration; LeRobot clips to that
radians   of simulations and most industrial arms
ticks     raw encoder steps, 4096 a turn, from 0 or from the middle
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from reflex.embodiments import Embodiment, bundled_embodiments, load_embodiment

__all__ = ["UNITS", "Axis", "Range", "Unit", "action_axes", "embodiment_in", "state_axes"]

Unit = Literal["degrees", "percent", "radians", "ticks"]
Range = tuple[float, float]

UNITS: Final[tuple[Unit, ...]] = get_args(Unit)
_WORDS: Final[Mapping[str, Unit]] = {
    "deg": "degrees",
    "degree": "degrees",
    "degrees": "degrees",
    "percent_of_half_range": "percent",
    "rad": "radians",
    "radian": "radians",
    "radians": "radians",
    "tick": "ticks",
    "ticks": "ticks",
}
_TURN: Final = 360.0
_TICKS: Final[Range] = (-2048.0, 4095.0)
_DEGREES_OF: Final[Mapping[Unit, float]] = {"degrees": 1.0, "radians": math.degrees(1.0), "ticks": _TURN / 4096}


@dataclass(frozen=True)
class Axis:
    """One axis of a state or an action."""

    name: str
    word: str
    """Its unit, as the embodiment calls it."""
    low: float
    high: float
    degrees: Range
    """Its range in degrees, for an angle."""

    @property
    def unit(self) -> Unit | None:
        """None for what is no angle: a gripper's opening, metres."""
        return _WORDS.get(self.word)

    def range_in(self, unit: Unit | None) -> Range:
        """Where its values can lie if they are in `unit`."""
        if unit == self.unit:
            return self.low, self.high
        if unit == "percent":
            return -100.0, 100.0
        if unit == "ticks":
            return _TICKS
        factor = _DEGREES_OF[unit or "degrees"]
        return self.degrees[0] / factor, self.degrees[1] / factor

    def quarter_turns(self, unit: Unit | None) -> tuple[float, ...]:
        """Shifts by a quarter and a half turn, by which an old zero differs; none in percent, which has no zero."""
        if unit not in ("degrees", "radians"):
            return ()
        return tuple(turn / _DEGREES_OF[unit] for turn in (-90.0, 90.0, -180.0, 180.0))


def action_axes(embodiment: Embodiment) -> tuple[Axis, ...]:
    """In the order of the actions."""
    limits = zip(embodiment.action_low, embodiment.action_high, strict=True)
    named = zip(embodiment.action_names, embodiment.action_units, limits, strict=True)
    return tuple(_axis(embodiment, name, word, limit) for name, word, limit in named)


def state_axes(embodiment: Embodiment) -> tuple[Axis | None, ...]:
    """In the order of the state; None where nothing says what range an entry has.

    A state has the limits of the action of the same name and unit; any other angle may turn once to either side.
    """
    actions = {(axis.name, axis.word): axis for axis in action_axes(embodiment)}
    named = list(zip(embodiment.state_names, embodiment.state_units, strict=True))
    return tuple(actions.get((name, word)) or _free_angle(embodiment, name, word) for name, word in named)


def embodiment_in(unit: Unit, embodiment: Embodiment) -> Embodiment | None:
    """Reflex's own embodiment of the same axes in that unit."""
    return next((each for each in _siblings(embodiment) if unit in map(_WORDS.get, each.action_units)), None)


def _free_angle(embodiment: Embodiment, name: str, word: str) -> Axis | None:
    unit = _WORDS.get(word)
    if unit not in ("degrees", "radians"):
        return None
    turn = _TURN / _DEGREES_OF[unit]
    return _axis(embodiment, name, word, (-turn, turn))


def _axis(embodiment: Embodiment, name: str, word: str, limits: Range) -> Axis:
    return Axis(name, word, *limits, degrees=_degrees(embodiment, name, _WORDS.get(word), limits))


def _degrees(embodiment: Embodiment, name: str, unit: Unit | None, limits: Range) -> Range:
    if unit in ("degrees", "radians"):
        return limits[0] * _DEGREES_OF[unit], limits[1] * _DEGREES_OF[unit]
    other = embodiment_in("degrees", embodiment)
    if other is None or name not in other.action_names:
        return -_TURN / 2, _TURN / 2
    place = other.action_names.index(name)
    return other.action_low[place], other.action_high[place]


def _siblings(embodiment: Embodiment) -> list[Embodiment]:
    known = (load_embodiment(name) for name in bundled_embodiments())
    return [each for each in known if each.action_names == embodiment.action_names]
