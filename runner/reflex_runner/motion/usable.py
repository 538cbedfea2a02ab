"""Which observations may be sent: a policy that is shown an old picture answers for a moment that is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reflex.connector import Observation

__all__ = ["DEFAULT_MAX_IMAGE_AGE_S", "MOST_AHEAD_S", "MOST_PERIODS", "why_unusable"]

DEFAULT_MAX_IMAGE_AGE_S: Final = 0.5
"""For a camera whose settings say nothing else."""
MOST_PERIODS: Final = 2
"""A state that is older than so many periods of the control loop is not the robot's state any more."""
MOST_AHEAD_S: Final = 1e-3
"""Nothing is measured in the future, and would never grow old there; this much is rounding between two readings."""


def why_unusable(
    observation: Observation, now: float, period_s: float, max_image_age_s: Mapping[str, float]
) -> str | None:
    """In words; None for one that may be sent."""
    state_age_s = now - observation.captured_s
    if not state_age_s <= MOST_PERIODS * period_s:
        return f"the robot's state is {state_age_s:.3f} s old, more than {MOST_PERIODS} control periods"
    for name, frame in observation.cameras.items():
        age_s, limit_s = now - frame.captured_s, max_image_age_s.get(name, DEFAULT_MAX_IMAGE_AGE_S)
        if age_s < -MOST_AHEAD_S:
            return f"camera {name}'s picture is dated {-age_s:.1f} s in the future; its captured_s is time.monotonic()"
        if not age_s <= limit_s:
            return f"camera {name}'s picture is {age_s:.3f} s old, more than its max_image_age_ms of {limit_s * 1e3:g}"
    return None
