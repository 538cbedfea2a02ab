"""The policy that is asked, as its server's `/config` tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reflex.client.embodiment import embodiment_of
from reflex.embodiments import Embodiment
from reflex.errors import SetupError, TransportError

__all__ = ["Served", "Spread", "parse_served"]

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """A normalised value times `scale` plus `offset` is one in robot units; scale 0 is an axis that never moved."""

    scale: Vector
    offset: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """`action_spread` is None in policies of older exports."""

    policy_id: str
    is_trained: bool
    cameras: Mapping[str, bool]
    """Whether each is required, in the policy's order."""
    sizes: Mapping[str, tuple[int, int]]
    """Height and width of the cameras whose pictures must have one."""
    state_dim: int
    action_dim: int
    horizon: int
    executed: int
    """Actions of a chunk that a robot executes."""
    takes_instruction: bool
    precision: str
    modes: Mapping[str, str]
    """How state and action are normalised, by their names in the checkpoint."""
    action_spread: Spread | None
    robot: Embodiment


def parse_served(config: Mapping[str, Any]) -> Served:
    """Of one policy; `SetupError` for two, `TransportError` for what is none."""
    if "policy_id" not in config and isinstance(config.get("a"), Mapping):
        raise SetupError("this server has two policies; serve the one in question alone, and diagnose it")
    try:
        return _parsed(config)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise TransportError(f"/config describes no policy ({exc!r}); is this a Reflex server?") from exc


def _parsed(config: Mapping[str, Any]) -> Served:
    cameras = {str(camera["name"]): bool(camera["required"]) for camera in config["cameras"]}
    shapes = {str(tensor["name"]): tensor["shape"] for tensor in config["inputs"]}
    horizon = int(config["horizon"])
    return Served(
        policy_id=str(config["policy_id"]),
        is_trained=bool(config.get("trained", True)),
        cameras=cameras,
        sizes={name: size for name in cameras if (size := _size(shapes.get(f"image.{name}", ()))) is not None},
        state_dim=int(config["state_dim"]),
        action_dim=int(config["action_dim"]),
        horizon=horizon,
        executed=int(config.get("n_action_steps") or horizon),
        takes_instruction=config.get("prompt") is not None,
        precision=str(config.get("precision", "")),
        modes={str(each["feature"]): str(each["mode"]) for each in config.get("normalization", ())},
        action_spread=_spread(config.get("action_space"), int(config["action_dim"])),
        robot=embodiment_of(config),
    )


def _size(shape: Any) -> tuple[int, int] | None:  # noqa: ANN401  # of somebody's JSON
    sides = [int(side) for side in shape[-3:-1]]
    return (sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else None


def _spread(space: Any, axes: int) -> Spread | None:  # noqa: ANN401
    if not isinstance(space, Mapping) or any(space.get("relative", ())):
        return None
    scale, offset = (np.array(space[name], np.float64) for name in ("scale", "offset"))
    return Spread(scale, offset) if scale.shape == offset.shape == (axes,) else None
