"""The sections of `robot.yaml`, each a frozen dataclass: what may stand there, and what holds where nothing does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, Strict

__all__ = ["CameraConfig", "CameraKind", "HardwareConfig", "LimitConfig", "Mode", "RecordingConfig", "RecordingFormat",
           "RobotConfig", "Rung", "SafetyConfig", "SessionConfig", "TargetConfig", "TargetKind"]  # fmt: skip

Mode = Literal["dry_run", "apply_actions"]
TargetKind = Literal["act", "edge", "stream", "openpi", "expert"]
CameraKind = Literal["opencv", "shm", "file"]
RecordingFormat = Literal["lerobot", "jsonl", "mcap", "rerun", "images", "lerobot_png"]
Rung = Literal["hold", "return_to_rest", "release"]

_CONFIG: Final = ConfigDict(extra="forbid", allow_inf_nan=False)

# Strict in what is a value, so that no text counts as a number; a list may become a tuple.
Number = Annotated[float, Strict()]
Whole = Annotated[int, Strict()]
Truth = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), Field(min_length=1)]
Milliseconds = Annotated[Whole, Field(ge=1, le=60_000)]
MOST_SEED: Final = (1 << 53) - 1
"""What JSON's readers keep to the last digit."""
Pixels = Annotated[Whole, Field(ge=1, le=8192)]


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The run itself."""

    __pydantic_config__ = _CONFIG
    mode: Mode = "dry_run"
    """What may happen to the robot: dry_run asks and records and moves nothing; the strictest of this, the command line
    and the session counts."""
    max_steps: Annotated[Whole, Field(ge=0)] = 0
    """After how many periods of the control loop the run ends; 0: it goes on until it is stopped."""
    control_period_s: Annotated[Number, Field(ge=0.001, le=1)] | None = None
    """Seconds from one command to the next; by default those of the policy's embodiment."""
    stop_on_error: Truth = True
    """Whether the first error of asking or applying ends the run; false: the robot is stopped and the run goes on."""
    pipeline_inference: Truth = True
    """Whether the next chunk is asked for while one is being executed."""
    heartbeat_interval_s: Annotated[Number, Field(ge=0.05, le=20)] = 10.0
    """Between two reports to the control plane, where there is a session."""
    instruction: Annotated[str, Strict()] | None = None
    """What the robot is to do, for policies that take an instruction."""
    deployment_id: Text | None = None
    """The deployment of the control plane under which the robot is driven; without one no session is asked for."""
    robot_id: Text | None = None
    """The robot, where the key is not its own."""


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """Who answers with actions, and how it is asked."""

    __pydantic_config__ = _CONFIG
    kind: TargetKind = "act"
    """act: `POST /act`, one request for each chunk; edge: the same; stream: `WS /act/stream`, one connection;
    openpi: a server of that protocol; expert: the scripted expert of the simulator, no server."""
    url: Text | None = None
    """The server; by default the one of the session's deployment, else http://localhost:8000."""
    timeout_s: Annotated[Number, Field(gt=0, le=60)] = 1.0
    """How long one answer is waited for."""
    connect_timeout_s: Annotated[Number, Field(gt=0, le=600)] = 10.0
    """How long the start waits for the server."""
    image_size: tuple[Pixels, Pixels] | None = None
    """Width and height into which pictures are made to fit before they are sent, in their proportions."""
    jpeg_quality: Annotated[Whole, Field(ge=1, le=100)] = 90
    """Of the pictures that are sent."""
    seed: Annotated[Whole, Field(ge=0, le=MOST_SEED)] | None = None
    """Of the first chunk's noise, and one more with each further one, for `act` and `openpi`: a run that can be
    repeated. None: the server draws its own."""
    extra_payload: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every request of `act` and `openpi`."""
    state_field: Text | None = None
    """The name of the state in requests of `act` and `openpi`, for servers that call it otherwise."""
    instruction_field: Text | None = None
    """The name of the instruction there."""


@dataclass(frozen=True, slots=True)
class HardwareConfig:
    """The robot: its kind, and that one's own settings."""

    __pydantic_config__ = _CONFIG
    kind: Text
    """sim, so101, subprocess, lerobot:ROBOT_TYPE, or module:Class."""
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CameraConfig:
    """One camera: its kind, what all kinds have, and that one's own settings."""

    __pydantic_config__ = _CONFIG
    kind: CameraKind
    """opencv: a camera of this computer; shm: shared memory; file: a video or pictures."""
    width: Pixels | None = None
    """Pixels; what the camera gives where it is not said."""
    height: Pixels | None = None
    fps: Annotated[Number, Field(gt=0, le=1000)] | None = None
    """What is asked of the camera; what it gives is measured."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Degrees, clockwise."""
    max_image_age_ms: Milliseconds = 500
    """An observation with an older picture is not sent."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_settings(self) -> dict[str, Any]:
        """What the camera is built of: what is not said is left to its kind."""
        shared = {"width": self.width, "height": self.height, "fps": self.fps, "rotate": self.rotate,
                  "max_image_age_ms": self.max_image_age_ms}  # fmt: skip
        return {name: value for name, value in shared.items() if value is not None} | dict(self.settings)


@dataclass(frozen=True, slots=True)
class LimitConfig:
    """Narrower limits of one axis, in its unit; what is wider than the robot's own is refused."""

    __pydantic_config__ = _CONFIG
    low: Number | None = None
    high: Number | None = None
    max_step: Annotated[Number, Field(gt=0)] | None = None
    """Largest change between two commands."""


@dataclass(frozen=True, slots=True)
class SafetyConfig:
    """When motion stops, and how."""

    __pydantic_config__ = _CONFIG
    hold_after_ms: Milliseconds | None = None
    """Without a chunk younger than this, the last pose is held; by default as the embodiment says, mostly 200."""
    stop_after_ms: Milliseconds | None = None
    """Without a chunk younger than this, the robot is brought to its safe stop, which only a new run leaves; by default
    as the embodiment says, mostly 1000."""
    max_clamped_steps: Annotated[Whole, Field(ge=1)] = 30
    """After so many commands in a row that had to be clamped, the robot is stopped."""
    ease_in_s: Annotated[Number, Field(ge=0, le=60)] = 1.0
    """Over how long the first commands lead from where the robot stands into the chunk."""
    limits: Mapping[str, LimitConfig] = field(default_factory=dict)
    """By axis."""
    stop_ladder: Annotated[tuple[Rung, ...], Field(min_length=1)] | None = None
    """Fewer rungs than the embodiment's; it can only be made safer."""

    def __post_init__(self) -> None:
        hold_ms, stop_ms = self.hold_after_ms, self.stop_after_ms
        if hold_ms is not None and stop_ms is not None and stop_ms <= hold_ms:
            raise ValueError("stop_after_ms must be above hold_after_ms: a robot holds before it is stopped")


@dataclass(frozen=True, slots=True)
class RecordingConfig:
    """What is kept of a run."""

    __pydantic_config__ = _CONFIG
    dir: Path = field(default=Path("recordings"))
    """The folder; each run has one of its own in it."""
    formats: tuple[RecordingFormat, ...] = ("jsonl",)
    """Any of lerobot, jsonl, mcap, rerun, images, lerobot_png; none: nothing is recorded."""

    @property
    def is_on(self) -> bool:
        return bool(self.formats)

    def off(self) -> RecordingConfig:
        """The same, with nothing recorded."""
        return replace(self, formats=())


@dataclass(frozen=True, slots=True)
class RobotConfig:
    """A whole `robot.yaml`. Paths in it are absolute: they were relative to the file."""

    hardware: HardwareConfig
    session: SessionConfig = field(default_factory=SessionConfig)
    target: TargetConfig = field(default_factory=TargetConfig)
    cameras: Mapping[str, CameraConfig] = field(default_factory=dict)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    path: Path | None = None
    """The file."""
