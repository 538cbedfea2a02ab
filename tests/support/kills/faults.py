"""What is done to a run, and what it promises for that: fault, state of the arm, within how long, first error.

`docs/what-stops-it.md` promises it to users; here it stands for the tests, once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from reflex.errors import STATUS_OF
from support.outside.disks import limit_file_size

__all__ = [
    "CREDENTIAL_S", "FAULTS", "HOLD_AFTER_MS", "NO_POLICY", "SHIFTS_S", "STOP_AFTER_MS", "Bench", "Fault", "Parts",
    "State",
]  # fmt: skip

State = Literal["held", "at rest", "goes on"]
Bench = Literal["simulator", "servos"]

HOLD_AFTER_MS, STOP_AFTER_MS = 200, 1000
"""As bundled embodiments have it."""
CREDENTIAL_S: Final = 5.0
"""Of the control plane here; a user's lasts 120 s."""
IMAGE_AGE_S: Final = 0.5
SILENCE_S: Final = 0.5
PERIODS_S: Final = 0.1
"""Three, for the way from the decision to the arm."""
PAUSE_S: Final = HOLD_AFTER_MS / 1000
"""Between two commands of a run that goes on: by then an arm without answers would hold."""
STOP_S: Final = STOP_AFTER_MS / 1000 + PERIODS_S
SHIFTS_S: Final = (86_400.0, -86_400.0, 3_600.0, -3_600.0, 3e8, -3e8)
NO_ANSWER: Final = frozenset({"unreachable", "timeout", "client_timeout", "recv_timeout", "stale_chunk"})
NO_POLICY: Final = (
    NO_ANSWER | {"inference_failed"} | {code for code, status in STATUS_OF.items() if status in (503, 504)}
)
"""What a server whose policy has died can still say, and what a client says of one that says nothing."""


@dataclass(frozen=True)
class Parts:
    """What can be struck: processes by their ids, and what is no process."""

    runner: int
    frontend: int
    triton: Callable[[], int]
    control: int = 0
    clock: Path = Path()
    shift_s: float = 0.0
    pull: Callable[[], None] = lambda: None
    freeze_camera: Callable[[], None] = lambda: None


Strike = Callable[[Parts], list[int]]
"""Gives the processes that are to be woken afterwards."""


@dataclass(frozen=True)
class Fault:
    """`within_s` counts from the blow to the hold of the arm; of a run that goes on, between two commands."""

    name: str
    strike: Strike
    state: State
    within_s: float
    errors: frozenset[str] = frozenset()
    """One of them is told first; empty: none is told, or nobody is left to tell it."""
    benches: tuple[Bench, ...] = ("simulator",)
    is_woken_at_once: bool = False
    """As soon as the arm is held, what was frozen goes on."""


def killed(pid: int) -> list[int]:
    os.kill(pid, signal.SIGKILL)
    return []


def frozen(pid: int) -> list[int]:
    os.kill(pid, signal.SIGSTOP)
    return [pid]


def done(what: Callable[[], object]) -> list[int]:
    what()
    return []


BOTH: Final[tuple[Bench, ...]] = ("simulator", "servos")
FAULTS: Final = (
    Fault("runner killed", lambda parts: killed(parts.runner), "held", SILENCE_S, benches=BOTH),
    Fault(
        "runner frozen", lambda parts: frozen(parts.runner), "held", SILENCE_S + PERIODS_S, frozenset({"watchdog"}),
        BOTH, is_woken_at_once=True,
    ),
    Fault("frontend killed", lambda parts: killed(parts.frontend), "at rest", STOP_S, NO_ANSWER),
    Fault("frontend frozen", lambda parts: frozen(parts.frontend), "at rest", STOP_S, NO_ANSWER, BOTH),
    Fault("Triton killed", lambda parts: killed(parts.triton()), "at rest", STOP_S, NO_POLICY),
    Fault("Triton frozen", lambda parts: frozen(parts.triton()), "at rest", STOP_S, NO_POLICY),
    Fault(
        "control plane killed", lambda parts: killed(parts.control), "at rest", CREDENTIAL_S + PERIODS_S,
        frozenset({"not_permitted", "session_expired"}),
    ),
    Fault(
        "control plane frozen", lambda parts: frozen(parts.control), "at rest", CREDENTIAL_S + PERIODS_S,
        frozenset({"not_permitted", "session_expired"}),
    ),
    Fault(
        "camera frozen", lambda parts: done(parts.freeze_camera), "at rest", IMAGE_AGE_S + STOP_S,
        frozenset({"stale_observation"}), BOTH,
    ),
    Fault("disk full", lambda parts: done(lambda: limit_file_size(parts.runner, 1)), "goes on", PAUSE_S),
    Fault(
        "day's clock set", lambda parts: done(lambda: parts.clock.write_text(str(parts.shift_s))), "goes on", PAUSE_S,
    ),
    Fault("cable pulled", lambda parts: done(parts.pull), "held", PERIODS_S, frozenset({"servo_bus"}), ("servos",)),
)  # fmt: skip
