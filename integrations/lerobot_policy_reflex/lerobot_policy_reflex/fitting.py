"""Whether a server's policy is the one that a policy folder was written for: asked before a robot is connected."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from reflex.client import ReflexClient
from reflex.client.check import ServedShape, shapes_of
from reflex.errors import SetupError

__all__ = ["Expected", "require_fitting"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the folder's config.json says."""

    state_dim: int
    action_dim: int
    cameras: Collection[str]
    """By their names at the server."""


def require_fitting(client: ReflexClient, expected: Expected) -> None:
    """`SetupError` says what differs, and how to go on; raises what the client raises when nobody answers."""
    for shape in shapes_of(client.config()).values():
        differences = list(_differences(shape, expected))
        if differences:
            raise SetupError(
                f"the server's policy {shape.policy_id} is not the one that this folder was written for: "
                f"{', '.join(differences)}; write it anew with `reflex lerobot-policy`"
            )


def _differences(shape: ServedShape, expected: Expected) -> list[str]:
    pairs = [
        ("state values", shape.state_dim, expected.state_dim),
        ("axes", shape.action_dim, expected.action_dim),
    ]
    found = [f"{served} {what} instead of {written}" for what, served, written in pairs if served != written]
    unknown = sorted(set(expected.cameras) - set(shape.cameras))
    return found + ([f"no camera {', '.join(unknown)}"] if unknown else [])
