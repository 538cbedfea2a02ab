"""Slowly to a rest pose: a straight way in joint space, watched, that ends in a hold when the arm does not follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from reflex.connector import ActionChunk, Connector
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.so101.errors import SO101Error
from reflex_runner.so101.registers import MOTORS

__all__ = ["move_to"]

PERIOD_S: Final = 1 / 30
SETTLE_S: Final = 2.0
FOLLOWS_WITHIN: Final = 15.0
"""Degrees or percent by which a joint may lag on its way: at these speeds a free one lags two."""
ARRIVES_WITHIN: Final = 3.0
"""Gravity keeps a servo with these gains from going quite where it is told."""

Pose = npt.NDArray[np.float32]


def move_to(
    arm: Connector,
    pose: Sequence[float],
    speed: Sequence[float],
    *,
    tell: Callable[[float], object] = lambda _: None,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """From where the arm is to `pose`, no axis faster than `speed` (its unit per second). `tell` hears the share done.

    `SO101Error` when a joint does not follow, or does not arrive. Whatever ends this early, Ctrl-C too, holds the arm.
    """
    try:
        _go(arm, np.asarray(pose, np.float32), np.asarray(speed, np.float32), tell, clock)
    except BaseException as exc:
        try:
            arm.safe_stop("the way to the rest pose was cut short")
        except SO101Error as other:  # the first error is the one to hear of
            exc.add_note(f"holding failed as well: {other}")
        raise


def _go(arm: Connector, pose: Pose, speed: Pose, tell: Callable[[float], object], clock: Clock) -> None:
    start = arm.get_observation().state
    took_s = float(np.max(np.abs(pose - start) / speed))
    share = 0.0
    while share < 1:
        share = min(1.0, share + PERIOD_S / took_s) if took_s > 0 else 1.0  # a period that was late makes no jump
        _step(arm, start + np.float32(share) * (pose - start), tell, share)
        clock.sleep_until(clock.now() + PERIOD_S)
    _settle(arm, pose, clock)


def _step(arm: Connector, goal: Pose, tell: Callable[[float], object], share: float) -> None:
    arm.apply_action(ActionChunk(goal[None], PERIOD_S))
    _refuse_far(arm.get_observation().state, goal, FOLLOWS_WITHIN, "does not follow: something is in its way")
    tell(share)


def _settle(arm: Connector, pose: Pose, clock: Clock) -> None:
    until_s = clock.now() + SETTLE_S
    while np.max(np.abs(arm.get_observation().state - pose)) > ARRIVES_WITHIN and clock.now() < until_s:
        clock.sleep_until(clock.now() + PERIOD_S)
    _refuse_far(arm.get_observation().state, pose, ARRIVES_WITHIN, "has not arrived")


def _refuse_far(measured: Pose, goal: Pose, most: float, what: str) -> None:
    far = np.abs(measured - goal)
    worst = int(np.argmax(far))
    if far[worst] > most:
        raise SO101Error(
            f"{list(MOTORS.values())[worst]} {what} ({measured[worst]:.0f}, and should be at {goal[worst]:.0f}); the "
            "arm is held where it is: clear its way and try again, or support it and run `reflex so101 rest --release`"
        )
