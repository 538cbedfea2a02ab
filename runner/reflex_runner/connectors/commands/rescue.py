"""How another process stops a robot of commands, when the run that drove it was killed: what `watch_handle` names."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reflex.processes.family import Family
from reflex.processes.guardian import end_all, wait_for_end
from reflex_runner.connectors.commands.answers import refuse_unknown
from reflex_runner.connectors.commands.command import Command, Launch
from reflex_runner.errors import HardwareError

__all__ = ["stop_robot", "wait_for_own_end"]

OWN_END_S: Final = 0.2
"""How long the commands of the run get to end by themselves, now that their stdin has ended."""
TERM_S: Final = 0.1
REASON: Final = "the run was killed"


def stop_robot(
    rung: str,  # noqa: ARG001  # there is but one: hold
    *,
    mark: str,
    argv: Sequence[str],
    folder: str,
    persistent: bool,
    command_timeout_s: float,
    start_timeout_s: float,
) -> None:
    """First the run's commands are ended, so that nothing is applied any more; then safe_stop is asked anew."""
    if not wait_for_end(mark, OWN_END_S):
        end_all(mark, frozenset(), TERM_S)
    family = Family()
    command = Command(Launch(argv, Path(folder), family, persistent, start_timeout_s, lambda _was_applied: {}))
    try:
        refuse_unknown(
            command.ask("safe_stop", {"op": "safe_stop", "reason": REASON}, command_timeout_s), "safe_stop"
        )  # fmt: skip
    finally:
        command.end()
        family.end()


def wait_for_own_end(rung: str, *, mark: str, within_s: float) -> None:  # noqa: ARG001
    """For commands that bring the robot to rest by themselves when their stdin ends."""
    began_s = time.monotonic()
    if not wait_for_end(mark, within_s):
        raise HardwareError(f"the robot's process still runs after {time.monotonic() - began_s:.1f} s")
