"""`@observation` and `@action`: which methods of a class that `reflex.connect` runs sense the robot, and move it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar

__all__ = ["ROLE", "Role", "action", "observation", "role_of"]

Role = Literal["observation", "action"]
ROLE: Final = "__reflex_role__"
MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def observation(method: MethodT) -> MethodT:
    """Mark the method that measures: it takes nothing and returns an `Observation`, or a dict of `state` (numbers),
    `images` (by camera, uint8 height x width x RGB) and `instruction`; None ends the run.
    """
    setattr(method, ROLE, "observation")
    return method


def action(method: MethodT) -> MethodT:
    """Mark the method that moves: it takes one command, float32 [action_dim] in the embodiment's units, which is
    checked already, sends it, and returns at once.
    """
    setattr(method, ROLE, "action")
    return method


def role_of(method: object) -> Role | None:
    """What a method was marked as."""
    found: Role | None = getattr(method, ROLE, None)
    return found
