"""The robots that demo policies are for, and how large such a policy is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reflex_export.demo_data.seeded_weights import TinySmolVla

__all__ = ["FRANKA", "SIMULATED_ARM", "DemoRobot"]

Statistics = Mapping[str, tuple[float, ...]]
RESTING: Final = (0.0, -15.0, 20.0, 55.0, 0.0, 40.0)
"""The simulated arm over the middle of its table, the hand half open."""


@dataclass(frozen=True, slots=True)
class DemoRobot:
    """What a demo policy is called and sees, and what its states and actions are around."""

    policy_id: str
    embodiment: str
    cameras: tuple[str, ...]
    camera_shape: tuple[int, int, int]
    """Of the pictures that it would have been trained on; a client may send any size."""
    state: Statistics
    action: Statistics
    sizes: TinySmolVla = field(default_factory=TinySmolVla)


FRANKA: Final = DemoRobot(
    policy_id="demo",
    embodiment="franka",
    cameras=("image",),
    camera_shape=(3, 48, 64),
    # x, y, z in metres and roll, pitch, yaw in radians, around a gripper that points down over a table.
    state={"mean": (0.45, 0.0, 0.4, 3.14, 0.0, 0.0), "std": (0.15, 0.2, 0.15, 0.3, 0.3, 0.5)},
    # Seven joint positions in radians around the arm's ready pose. The small spread keeps the jumps between the steps
    # of an untrained chunk under what 20 Hz control of the arm's slowest joints (2.175 rad/s) allows.
    action={"mean": (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785), "std": (0.02,) * 7},
)
SIMULATED_ARM: Final = DemoRobot(
    policy_id="sim_demo",
    embodiment="so101_sim",
    cameras=("front", "wrist"),
    camera_shape=(3, 96, 96),
    # Five joints in degrees and the gripper in percent; the spread of the actions is small for the same reason.
    state={"mean": RESTING, "std": (25.0, 20.0, 20.0, 15.0, 10.0, 25.0)},
    action={"mean": RESTING, "std": (1.2,) * 6},
    sizes=TinySmolVla(vision_width=32, vision_layers=1, vision_mlp=64, width=32, mlp=64, layers=2, head_dim=8),
)
