"""One made-up observation that fits the policy of a running server, and a look at the chunk that comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from reflex.client.blocking import ReflexClient
from reflex.errors import RepositoryError, TransportError
from reflex.wire import ActResult

__all__ = ["Checked", "ServedShape", "check_server", "shapes_of"]

SIDE_PIXELS: Final = 224
"""Of a picture, where the policy takes any size."""
GREY: Final = (128, 128, 128)
INSTRUCTION: Final = "stand still"


@dataclass(frozen=True)
class ServedShape:
    """What a policy takes and gives, as `/config` says."""

    policy_id: str
    cameras: Mapping[str, tuple[int, int]]
    """Width and height in pixels of each."""
    takes_instruction: bool
    state_dim: int
    horizon: int
    action_dim: int


@dataclass(frozen=True)
class Checked:
    """The policy that answered, and its answer."""

    policy: ServedShape
    answer: ActResult


def check_server(client: ReflexClient) -> Checked:
    """Ask for one chunk: grey pictures, a state of zeros, and an instruction where the policy takes one.

    The client refuses values that are not finite; `RepositoryError` when the chunk is not of the policy's own shape.
    Of two policies the one that answers is looked at.
    """
    shapes = shapes_of(client.config())
    asked = next(iter(shapes.values()))
    answer = client.act(
        state=[0.0] * asked.state_dim,
        instruction=INSTRUCTION if asked.takes_instruction else "",
        images={name: Image.new("RGB", size, GREY) for name, size in asked.cameras.items()} or None,
        seed=0,
    )
    policy = shapes.get(answer.get("policy_slot"), asked)
    shape = (answer["num_actions"], answer["action_dim"])
    if shape != (policy.horizon, policy.action_dim):
        raise RepositoryError(
            f"{policy.policy_id} answered with {shape[0]} x {shape[1]} values "
            f"and promises {policy.horizon} x {policy.action_dim} in /config; export it again"
        )
    return Checked(policy, answer)


def shapes_of(config: Mapping[str, Any]) -> dict[str | None, ServedShape]:
    """Read `/config`: one policy under None, or two by their slots; `TransportError` when it is something else."""
    try:
        if "policy_id" in config:
            return {None: _shape_of(config)}
        return {slot: _shape_of(config[slot]) for slot in ("a", "b")}
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise TransportError(f"/config describes no policy ({exc!r}); is this a Reflex server?") from exc


def _shape_of(config: Mapping[str, Any]) -> ServedShape:
    sizes = {tensor["name"]: tensor["shape"] for tensor in config["inputs"]}
    names = [str(camera["name"]) for camera in config["cameras"]]
    return ServedShape(
        policy_id=str(config["policy_id"]),
        cameras={name: _size(sizes.get(f"image.{name}", ())) for name in names},
        takes_instruction=config.get("prompt") is not None,
        state_dim=int(config["state_dim"]),
        horizon=int(config["horizon"]),
        action_dim=int(config["action_dim"]),
    )


def _size(shape: Any) -> tuple[int, int]:  # noqa: ANN401 - of somebody's JSON
    """Width and height of a picture for an input of height x width x 3, where -1 is any."""
    height, width = (*(int(value) for value in shape[:2]), -1, -1)[:2]
    return (width if width > 0 else SIDE_PIXELS, height if height > 0 else SIDE_PIXELS)
