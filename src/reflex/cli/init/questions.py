"""An embodiment by questions, for a robot of which there is neither a dataset nor a URDF."""

from __future__ import annotations

import typer

from reflex.cli.init.draft import Axis, Draft
from reflex.errors import SetupError

__all__ = ["draft_from_questions"]


def draft_from_questions(name: str, control_hz: float | None) -> Draft:
    """Asks on stderr, reads from stdin; raises `SetupError` for an answer that is no number."""
    rate = control_hz or _number(_ask("Actions a second that the policy was trained at", "20"))
    names = [part.strip() for part in _ask("Action axes in the policy's order, like lift,gripper").split(",")]
    axes = [_axis(axis, rate) for axis in names]
    state = [(axis.name, axis.unit, (axis.low + axis.high) / 2) for axis in axes]
    source = _ask("Where these numbers can be looked up, like: data sheet, page 4")
    what = "action_low, action_high, and action_max_step: top speed divided by control_hz"
    return Draft(name, _ask("The robot in one sentence"), rate, axes, state, ((what, source),))


def _axis(name: str, rate: float) -> Axis:
    unit = _ask(f"{name}: unit", "rad")
    low, high = (
        _number(_ask(f"{name}: least position in {unit}")),
        _number(_ask(f"{name}: greatest position in {unit}")),
    )
    return Axis(name, unit, low, high, _number(_ask(f"{name}: top speed in {unit} a second")) / rate)


def _ask(question: str, default: str | None = None) -> str:
    return str(typer.prompt(question, default=default, err=True))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SetupError(f"{text!r} is not a number; begin again, and write it like 0.8") from None
