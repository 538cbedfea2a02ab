"""What may have happened to the numbers of a state or an action: from what was recorded to what the policy means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from reflex_learning.diagnosis.served import Served, Spread, Vector

__all__ = ["Change", "changes_of", "is_gripper", "zero_changes"]

Turned = Callable[[Vector], Vector]
TWO_ARMS: Final = 12
DEGREES: Final = ("deg", "degree", "degrees", "°")
RADIANS: Final = ("rad", "radian", "radians")
SMALL: Final = 1e-9
BY_RANGE: Final = ("MIN_MAX", "QUANTILES", "QUANTILE10")
FOREIGN_OFFSET: Final = 0.3
FOREIGN_SCALE: Final = 1.25
"""Statistics that are nearer than these, in spreads, are of the same kind of recordings."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """`forward` takes what was recorded to what the policy means, `inverse` back; both along the last axis."""

    kind: str
    detail: str
    forward: Turned
    inverse: Turned

    @property
    def key(self) -> str:
        return f"{self.kind} {self.detail}"


def is_gripper(name: str) -> bool:
    return "grip" in name.lower()


def changes_of(
    served: Served,
    names: Sequence[str],
    units: Sequence[str],
    suspects: Sequence[str],
    seen: Sequence[Vector] | None,
) -> list[Change]:
    """All of one vector; `seen` is its recorded mean, standard deviation, least and greatest."""
    return [
        *_units(served, names, units),
        *_grippers(served, names),
        *_signs(names, suspects),
        *_orders(names, suspects),
        *_statistics(served, names, seen),
    ]


def _scaled(kind: str, detail: str, scale: Vector, offset: Vector) -> Change:
    return Change(kind, detail, lambda values: values * scale + offset, lambda values: (values - offset) / scale)


def _units(served: Served, names: Sequence[str], units: Sequence[str]) -> Iterator[Change]:
    ones, zeros = np.ones(len(names)), np.zeros(len(names))
    degrees = np.array([unit in DEGREES for unit in units])
    radians = np.array([unit in RADIANS for unit in units])
    if degrees.any():
        yield _scaled(
            "units", "recorded in radians, the policy's are degrees", np.where(degrees, 180 / np.pi, ones), zeros
        )
        low, high = _limits(served, names)
        half, middle = np.where(degrees, (high - low) / 200, ones), np.where(degrees, (high + low) / 2, zeros)
        yield _scaled("units", "recorded in percent of the range, the policy's are degrees", half, middle)
    if radians.any():
        yield _scaled(
            "units", "recorded in degrees, the policy's are radians", np.where(radians, np.pi / 180, ones), zeros
        )


def _limits(served: Served, names: Sequence[str]) -> tuple[Vector, Vector]:
    """Of axes that are no action's: -100 to 100, so that nothing changes."""
    robot = served.robot
    found = dict(zip(robot.action_names, zip(robot.action_low, robot.action_high, strict=True), strict=True))
    pairs = np.array([found.get(name, (-100.0, 100.0)) for name in names])
    return pairs[:, 0], pairs[:, 1]


def _grippers(served: Served, names: Sequence[str]) -> Iterator[Change]:
    grippers = np.array([is_gripper(name) for name in names])
    if not grippers.any():
        return
    low, high = _limits(served, names)
    ones, zeros = np.ones(len(names)), np.zeros(len(names))
    yield _scaled(
        "gripper",
        "open and closed are exchanged",
        np.where(grippers, -1.0, ones),
        np.where(grippers, low + high, zeros),
    )
    yield _scaled("gripper", "recorded as 0 to 1", np.where(grippers, high - low, ones), np.where(grippers, low, zeros))
    yield _scaled(
        "gripper", "recorded as 0 to 100", np.where(grippers, (high - low) / 100, ones), np.where(grippers, low, zeros)
    )


def _signs(names: Sequence[str], suspects: Sequence[str]) -> Iterator[Change]:
    for index, name in enumerate(names):
        if name in suspects:
            sign = np.ones(len(names))
            sign[index] = -1.0
            yield _scaled("sign", f"of {name}", sign, np.zeros(len(names)))


def _orders(names: Sequence[str], suspects: Sequence[str]) -> Iterator[Change]:
    count = len(names)
    for first, second in combinations([index for index in range(count) if names[index] in suspects], 2):
        order = np.arange(count)
        order[[first, second]] = second, first
        yield _permuted(f"{names[first]} and {names[second]}", order)
    yield _permuted("from the last to the first", np.arange(count)[::-1])
    yield _permuted("the gripper first", np.roll(np.arange(count), -1))
    if count >= TWO_ARMS and count % 2 == 0:
        yield _permuted("the two arms", np.roll(np.arange(count), count // 2))


def _permuted(detail: str, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Change:
    back = np.argsort(order)
    return Change("order", detail, lambda values: values[..., order], lambda values: values[..., back])


def zero_changes(names: Sequence[str], offsets: Iterable[tuple[str, float]]) -> list[Change]:
    """One for each axis and offset."""
    made = []
    for name, offset in offsets:
        if name in names:
            moved = np.zeros(len(names))
            moved[names.index(name)] = -offset
            made.append(_scaled("zero", f"{name} is about {offset:+.3g} off", np.ones(len(names)), moved))
    return made


def _statistics(served: Served, names: Sequence[str], seen: Sequence[Vector] | None) -> Iterator[Change]:
    """As if the policy had been exported with the statistics of what was recorded.

    A server tells those of the actions; a state of the same axes is taken to have the same.
    """
    of_policy = served.action_spread
    if of_policy is None or seen is None or tuple(names) != tuple(served.robot.action_names):
        return
    told = _spreads(served.modes.get("action"), *seen)
    if np.any(of_policy.scale <= SMALL) or not all(_are_foreign(of_policy, recorded) for recorded in told.values()):
        return
    is_missing = bool(np.all(of_policy.scale == 1.0) and np.all(of_policy.offset == 0.0))
    how = "none are applied" if is_missing else "they are foreign"
    for what, recorded in told.items():
        scale = of_policy.scale / recorded.scale
        offset = of_policy.offset - scale * recorded.offset
        yield _scaled("statistics", f"{how}; by {what} of the dataset it fits", scale, offset)


def _spreads(mode: str | None, mean: Vector, std: Vector, least: Vector, greatest: Vector) -> dict[str, Spread]:
    """What was recorded, in the way in which the policy normalises; in both where that is unknown."""
    found = {}
    if mode not in BY_RANGE:
        found["mean and standard deviation"] = Spread(np.maximum(std, SMALL), mean)
    if mode != "MEAN_STD":
        found["least and greatest"] = Spread(np.maximum((greatest - least) / 2, SMALL), (greatest + least) / 2)
    return found


def _are_foreign(of_policy: Spread, recorded: Spread) -> bool:
    """On half of the axes: on one alone it is something else, like a zero."""
    apart = np.abs(of_policy.offset - recorded.offset) / recorded.scale
    ratio = np.abs(np.log(of_policy.scale / recorded.scale))
    return bool(np.mean((apart > FOREIGN_OFFSET) | (ratio > np.log(FOREIGN_SCALE))) >= 1 / 2)
