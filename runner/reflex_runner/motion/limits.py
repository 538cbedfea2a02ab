"""The limits of a run: what the robot, its schema, the policy and the settings all allow. None of them can widen it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reflex.embodiments import Embodiment
from reflex.errors import SetupError

__all__ = ["AxisLimits", "measured_axes", "narrowed", "per_period", "within_all"]


@dataclass(frozen=True, slots=True)
class AxisLimits:
    """What the settings allow one action axis; None leaves the embodiment's own limit."""

    low: float | None = None
    high: float | None = None
    max_step: float | None = None
    """Largest change from one action to the next at the embodiment's `control_hz`."""


def within_all(robot: Embodiment, others: Iterable[Embodiment]) -> Embodiment:
    """The robot, with limits that keep those of all the others (its schema's, the policy's) as well.

    `SetupError` when another one has other axes, or when nothing is left of a range.
    """
    for other in others:
        _refuse_other_axes(robot, other)
        rate = other.control_hz / robot.control_hz  # a step of the other lasts 1 / rate as long
        robot = _held_to(
            robot,
            low=_each(max, robot.action_low, other.action_low),
            high=_each(min, robot.action_high, other.action_high),
            max_step=_each(min, robot.action_max_step, [step * rate for step in other.action_max_step]),
            whose=f"the {other.name} of the policy or the schema",
        )
    return robot


def narrowed(robot: Embodiment, limits: Mapping[str, AxisLimits], where: str = "safety.limits") -> Embodiment:
    """The robot with the limits of the settings; `SetupError` for one that is wider than the robot's own."""
    unknown = [name for name in limits if name not in robot.action_names]
    if unknown:
        raise SetupError(f"{where}: {robot.name} has no axis {unknown[0]!r}; it has {', '.join(robot.action_names)}")
    each = [limits.get(name, AxisLimits()) for name in robot.action_names]
    for name, limit, low, high, step in zip(
        robot.action_names, each, robot.action_low, robot.action_high, robot.action_max_step, strict=True
    ):
        _refuse_wider(f"{where}.{name}", limit, low, high, step)
    return _held_to(
        robot,
        low=_given([limit.low for limit in each], robot.action_low),
        high=_given([limit.high for limit in each], robot.action_high),
        max_step=_given([limit.max_step for limit in each], robot.action_max_step),
        whose=where,
    )


def per_period(robot: Embodiment, period_s: float) -> Embodiment:
    """The robot at the rate of the control loop: no faster, and no single step larger, than at its own."""
    share = min(1.0, period_s * robot.control_hz)
    steps = tuple(step * share for step in robot.action_max_step)
    try:
        return replace(robot, action_max_step=steps, control_hz=1 / period_s, stop_ladder=None)
    except ValueError as exc:
        raise SetupError(f"a control period of {period_s:g} s does not fit {robot.name}: {exc}") from exc


def measured_axes(robot: Embodiment) -> tuple[int, ...]:
    """Where in a state each action axis is measured; `SetupError` when one is not."""
    state = list(zip(robot.state_names, robot.state_units, strict=True))
    axes = list(zip(robot.action_names, robot.action_units, strict=True))
    for name, unit in axes:
        if (name, unit) not in state:
            raise SetupError(
                f"the state of {robot.name} does not say where {name} is (in {unit}), and without that no first "
                "command is safe; use an embodiment whose state measures every action axis"
            )
    return tuple(state.index(axis) for axis in axes)


def _refuse_other_axes(robot: Embodiment, other: Embodiment) -> None:
    if (robot.action_names, robot.action_units) != (other.action_names, other.action_units):
        raise SetupError(
            f"{other.name} has other action axes than {robot.name} "
            f"({_axes(other)}; not {_axes(robot)}); choose a policy for this robot"
        )


def _axes(robot: Embodiment) -> str:
    return ", ".join(f"{name} in {unit}" for name, unit in zip(robot.action_names, robot.action_units, strict=True))


def _refuse_wider(where: str, limit: AxisLimits, low: float, high: float, step: float) -> None:
    # Written so that a NaN, which compares false with everything, is refused too.
    if limit.low is not None and not limit.low >= low:
        raise SetupError(f"{where}.low: {limit.low:g} is outside the robot's own {low:g}; limits can only be narrowed")
    if limit.high is not None and not limit.high <= high:
        raise SetupError(
            f"{where}.high: {limit.high:g} is outside the robot's own {high:g}; limits can only be narrowed"
        )
    if limit.max_step is not None and not limit.max_step <= step:
        raise SetupError(
            f"{where}.max_step: {limit.max_step:g} is above the robot's own {step:g}; limits can only be narrowed"
        )


def _held_to(
    robot: Embodiment, low: Sequence[float], high: Sequence[float], max_step: Sequence[float], whose: str
) -> Embodiment:
    """A typical state is no limit: it moves into the range that is left."""
    ranges = dict(zip(robot.action_names, zip(low, high, strict=True), strict=True))
    mean = [
        min(max(value, ranges[name][0]), ranges[name][1]) if name in ranges else value
        for name, value in zip(robot.state_names, robot.mean_state, strict=True)
    ]
    try:
        return replace(
            robot, action_low=tuple(low), action_high=tuple(high), action_max_step=tuple(max_step),
            mean_state=tuple(mean),
        )  # fmt: skip
    except ValueError as exc:
        raise SetupError(
            f"{robot.name} within {whose}: {exc}; leave more of the range, or choose a stop_ladder that fits it"
        ) from exc


def _each(
    choose: Callable[[Iterable[float]], float], first: Sequence[float], second: Sequence[float]
) -> tuple[float, ...]:
    return tuple(choose(pair) for pair in zip(first, second, strict=True))


def _given(wanted: Sequence[float | None], own: Sequence[float]) -> tuple[float, ...]:
    return tuple(mine if value is None else value for value, mine in zip(wanted, own, strict=True))
