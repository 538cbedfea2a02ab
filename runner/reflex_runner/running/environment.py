"""A robot that can be set to a beginning again and again: what it offers beside the five methods of a connector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reflex.connector import Connector
from reflex.errors import SetupError

__all__ = ["Environment", "environment_of"]


@dataclass(frozen=True, slots=True)
class Environment:
    """`reset` has the episode of a seed begin: now, or with the next start."""

    connector: Connector
    reset: Callable[[int], object]
    is_stepped: bool
    """Its time passes with the commands alone."""

    @property
    def instruction(self) -> str | None:
        """What is to be done in the episode that begins, where the robot knows it."""
        said = getattr(self.connector, "instruction", None)
        return said if isinstance(said, str) and said else None


def environment_of(connector: Connector) -> Environment:
    """`SetupError` for a robot that nobody can set to a beginning."""
    reset = getattr(connector, "reset", None)
    if not callable(reset):
        raise SetupError(
            "hardware.kind: episodes need a robot that can be set to a beginning, by a method `reset(seed)`, as "
            "`hardware: {kind: sim}` has it"
        )
    return Environment(connector, reset, getattr(connector, "is_stepped", False) is True)
