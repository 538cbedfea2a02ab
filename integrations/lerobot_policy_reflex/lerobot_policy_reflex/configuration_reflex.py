"""The configuration of the policy type `reflex`: each field is `--policy.<field>` on the command lines of LeRobot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lerobot.configs import PreTrainedConfig

from reflex.errors import SetupError

__all__ = ["ReflexConfig"]

NOTHING_TO_TRAIN: Final = (
    "this policy asks a server and has nothing to train; train another type of policy, and serve it: `reflex export`"
)


@PreTrainedConfig.register_subclass("reflex")
@dataclass
class ReflexConfig(PreTrainedConfig):  # type: ignore[misc]  # LeRobot is not installed where types are checked
    """Written by `reflex lerobot-policy`. The key is no field: see `keys`."""

    device: str | None = "cpu"
    url: str = "http://localhost:8000"
    timeout_s: float = 5.0
    """For one chunk, retries included. A chunk that is later is an error, never an old action."""
    api_key_file: str | None = None
    """Instead of the variable REFLEX_API_KEY; read for each request."""
    instruction: str = ""
    """For observations that bring no task of their own."""
    cameras: dict[str, str] = field(default_factory=dict)
    """The server's camera by the key of the observation; what is not in it is not sent."""
    image_encoding: str = "jpeg"
    """`png` loses nothing."""
    jpeg_quality: int = 90
    seed: int | None = None
    """Of the first chunk, and one more with each: the same run asks for the same noise."""
    chunk_size: int = 50
    n_action_steps: int = 50
    """How many actions of a chunk are executed before the next is asked for; not with --inference.type=rtc."""
    rtc: bool = True
    """Whether the policy can continue a chunk."""

    def validate_features(self) -> None:
        """`SetupError` for a configuration that was made by hand, or for another robot."""
        if self.robot_state_feature is None or self.action_feature is None:
            raise SetupError("config.json names no observation.state or no action; `reflex lerobot-policy` writes both")
        if not 1 <= self.n_action_steps <= self.chunk_size:
            raise SetupError(f"n_action_steps is {self.n_action_steps}; it goes from 1 to {self.chunk_size}")

    @property
    def observation_delta_indices(self) -> None:
        return None

    @property
    def action_delta_indices(self) -> list[int]:
        return list(range(self.chunk_size))

    @property
    def reward_delta_indices(self) -> None:
        return None

    def get_optimizer_preset(self) -> None:
        """Always `SetupError`."""
        raise SetupError(NOTHING_TO_TRAIN)

    def get_scheduler_preset(self) -> None:
        return None
