"""Where a robot and a policy mean different things by the same vectors: the robot would move as nobody meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reflex.embodiments import Embodiment
from reflex.robot_schema.schema import RobotSchema

__all__ = ["disagreements"]

SAME_WIDTH_SHARE: Final = 0.02
"""Two calibrations of one arm differ by a few degrees."""
SAME_ZERO_SHARE: Final = 0.05
"""Of a range's width; ranges that are further apart have another zero."""


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float
    unit: str

    @property
    def width(self) -> float:
        return self.high - self.low

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} {self.unit}"


def disagreements(schema: RobotSchema, embodiment: Embodiment) -> list[str]:
    """A sentence for each thing in which the robot and the policy's embodiment differ; none when they agree.

    Dimensions, names in their order, units, and the zero of axes of the same name and unit. Nobody writes a zero down,
    so it shows only where it moves a range or a typical state: one that lies in the middle of both is not told from
    another of the opposite sign.
    """
    robot = schema.embodiment
    return [
        *_vector("state", robot.state_names, robot.state_units, embodiment.state_names, embodiment.state_units),
        *_vector("action", robot.action_names, robot.action_units, embodiment.action_names, embodiment.action_units),
        *_zeros(robot, embodiment),
    ]


def _vector(
    what: str, names: Sequence[str], units: Sequence[str], policy_names: Sequence[str], policy_units: Sequence[str]
) -> Iterator[str]:
    if len(names) != len(policy_names):
        yield f"{what}: the robot has {len(names)} values ({', '.join(names)}), the policy {len(policy_names)}"
    elif list(names) != list(policy_names):
        index = next(i for i, pair in enumerate(zip(names, policy_names, strict=True)) if pair[0] != pair[1])
        yield f"{what}: value {index} is {names[index]} on the robot and {policy_names[index]} in the policy"
    policy_unit = dict(zip(policy_names, policy_units, strict=True))
    differing: dict[tuple[str, str], list[str]] = {}
    for name, unit in zip(names, units, strict=True):
        if policy_unit.get(name, unit) != unit:
            differing.setdefault((unit, policy_unit[name]), []).append(name)
    for (unit, other), axes in differing.items():
        yield f"{what}: {', '.join(axes)} in {unit} on the robot and in {other} in the policy"


def _zeros(robot: Embodiment, policy: Embodiment) -> Iterator[str]:
    ranges, policy_ranges = _ranges(robot), _ranges(policy)
    means = dict(zip(zip(policy.state_names, policy.state_units, strict=True), policy.mean_state, strict=True))
    for axis, here in ranges.items():
        there, mean = policy_ranges.get(axis), means.get(axis)
        difference = None if there is None else _difference(here, there)
        if difference is not None:
            yield f"zero: {axis[0]} goes from {here} on the robot and from {there} in the policy: {difference}"
        elif mean is not None and not here.low <= mean <= here.high:
            yield f"zero: the policy's typical {axis[0]} of {mean:g} lies outside the robot's {here}"


def _ranges(embodiment: Embodiment) -> dict[tuple[str, str], _Range]:
    axes = zip(
        embodiment.action_names, embodiment.action_units, embodiment.action_low, embodiment.action_high, strict=True
    )
    return {(name, unit): _Range(low, high, unit) for name, unit, low, high in axes}


def _difference(here: _Range, there: _Range) -> str | None:
    """In words; None where the zero may well be the same. A part of the robot's range is the policy's to choose."""
    if there.high < here.low or here.high < there.low:
        return "the two have nothing in common"
    widest = max(here.width, there.width)
    if abs(here.width - there.width) > SAME_WIDTH_SHARE * widest:
        return None
    if abs(here.low - there.low) <= SAME_ZERO_SHARE * widest:
        return None
    is_mirrored = abs(here.low + there.high) <= SAME_ZERO_SHARE * widest
    return "the sign is turned over" if is_mirrored else "its zero lies elsewhere"
