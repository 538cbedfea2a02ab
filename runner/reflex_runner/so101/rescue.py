"""Stopping an arm from another process, when the one that drives it has died or is frozen."""

from __future__ import annotations

from typing import Final

import serial  # noqa: F401  # when the arm must be stopped there is no time to load it

from reflex_runner.so101.bus import RETRIES, Bus
from reflex_runner.so101.errors import SO101Error
from reflex_runner.so101.holding import hold, release
from reflex_runner.so101.line import open_line

__all__ = ["stop_arm"]

RUNGS: Final = {"hold": hold, "release": release}


def stop_arm(rung: str, port: str, retries: int = RETRIES, answer_within_s: float | None = None) -> None:
    """`hold` or `release` it. The port's lock is passed by: whoever has it no longer does what it should."""
    if rung not in RUNGS:
        raise SO101Error(f"an SO-101 cannot {rung}: it can hold and release")
    bus = Bus(open_line(port, exclusive=False), retries=retries, answer_within_s=answer_within_s)
    try:
        RUNGS[rung](bus)
    finally:
        bus.close()
