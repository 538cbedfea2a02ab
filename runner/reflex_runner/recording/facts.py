"""What a recording is of: the robot, the policy, the session, and the limits that held."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import reflex
from reflex.embodiments import Embodiment
from reflex_runner.recording.moments import Moments

__all__ = ["FORMAT_VERSION", "FormatName", "PolicyFacts", "RunFacts", "header_of"]

FORMAT_VERSION: Final = 1
FormatName = Literal["jsonl", "images", "mcap", "lerobot", "lerobot_png", "rerun"]


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """Which policy answers, as far as it is known when the run begins."""

    policy_id: str | None = None
    model_version: str | None = None
    policy_hash: str | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What stands at the head of a recording."""

    embodiment: Embodiment
    """With the limits that held in this run: those of the file, narrowed by the settings."""
    mode: str
    """`dry_run` or `apply_actions`."""
    instruction: str = ""
    connector: str | None = None
    """The kind of the hardware, like `sim` or `so101`."""
    control_hz: float | None = None
    """Periods of the control loop per second; None: the embodiment's."""
    policy: PolicyFacts = field(default_factory=PolicyFacts)
    robot_id: str | None = None
    deployment_id: str | None = None
    session_id: str | None = None
    calibration_id: str | None = None
    cameras: tuple[str, ...] | None = None
    """None: those of the first observation."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Other settings of the run worth keeping; never a secret."""

    @property
    def rate_hz(self) -> float:
        """Periods of the control loop per second."""
        return self.control_hz or self.embodiment.control_hz


def header_of(facts: RunFacts, moments: Moments, started_s: float) -> dict[str, Any]:
    """The facts as JSON has them; `started_s` is monotonic."""
    told = dataclasses.asdict(facts) | {"control_hz": facts.rate_hz}
    clock = {"offset_s": moments.offset_s, "uncertainty_s": moments.uncertainty_s}
    return {
        "kind": "recording",
        "format_version": FORMAT_VERSION,
        "reflex_version": reflex.__version__,
        "started_unix_s": moments.unix_s(started_s),
        "clock": clock,
        **told,
    }
