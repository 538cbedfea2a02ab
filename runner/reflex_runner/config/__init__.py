"""`robot.yaml`: what a run is made of."""

from __future__ import annotations

from reflex_runner.config.robot_file import load_robot_config
from reflex_runner.config.sections import (
    CameraConfig,
    HardwareConfig,
    LimitConfig,
    RecordingConfig,
    RobotConfig,
    SafetyConfig,
    SessionConfig,
    TargetConfig,
)

__all__ = [
    "CameraConfig",
    "HardwareConfig",
    "LimitConfig",
    "RecordingConfig",
    "RobotConfig",
    "SafetyConfig",
    "SessionConfig",
    "TargetConfig",
    "load_robot_config",
]
