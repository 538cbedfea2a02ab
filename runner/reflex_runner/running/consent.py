"""Whether a run goes on after a stop: in apply_actions only where a person at the terminal says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reflex_runner.config.sections import Mode
from reflex_runner.motion.descent import StopCause

__all__ = ["consent_of"]

PASSING: Final = ("stale_chunk", "never_began", "clamped_steps")
"""Stops for what may be over when the run goes on; a refused key, or a robot that is gone, are none."""

Consent = Callable[[StopCause], bool]


def consent_of(mode: Mode, ask: Consent | None, *, stop_on_error: bool) -> Consent | None:
    """`stop_on_error: false` lets a dry run go on by itself; what moves waits for the operator, if there is one."""
    if mode == "dry_run" and not stop_on_error:
        return lambda cause: cause.code in PASSING
    return ask
