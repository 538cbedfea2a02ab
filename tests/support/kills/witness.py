"""Whoever looks at the simulated arm all the time, beside its runner: what was commanded, held, and where it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from reflex_runner.simulation.speaking import call, connect

__all__ = ["Told", "Witness", "witnessed"]

LOOK_S: Final = 0.02


@dataclass(frozen=True)
class Told:
    """At one look. The moments are the arm's own, on the clock of this computer."""

    at_s: float
    commands: int
    last_command_s: float
    holds: int
    last_hold_s: float
    state: tuple[float, ...]


class Witness:
    """`looks` grow until the arm has ended, or `is_over` is set."""

    def __init__(self, address: Path) -> None:
        self._line = connect(str(address))
        self._address = address
        self.looks: list[Told] = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._look_on, daemon=True)

    def _look_on(self) -> None:
        with self._line, suppress(EOFError, OSError):
            while not self.is_over.is_set():
                told, _ = call(self._line, {"do": "tell"})
                self.looks.append(
                    Told(
                        time.monotonic(), told["commands"], told["last_command_s"], told["holds"],
                        told["last_hold_s"], tuple(told["state"]),
                    )
                )  # fmt: skip
                time.sleep(LOOK_S)

    @property
    def newest(self) -> Told | None:
        return self.looks[-1] if self.looks else None

    def first_hold_s(self, after_s: float) -> float:
        """Infinity: none yet."""
        return min((each.last_hold_s for each in list(self.looks) if each.last_hold_s >= after_s), default=float("inf"))

    def longest_pause_s(self, after_s: float) -> float:
        """Between two commands from then on."""
        moments = sorted({each.last_command_s for each in list(self.looks) if each.last_command_s >= after_s})
        return max((later - earlier for earlier, later in pairwise(moments)), default=float("inf"))

    def picture_s(self, camera: str) -> float:
        """When that camera's newest picture was taken."""
        with connect(str(self._address)) as line:
            told, _ = call(line, {"do": "look", "seen": {}})
        return float(told["pictures"][camera][0])

    def end_arm(self) -> None:
        """It need not wait for somebody to come."""
        with suppress(OSError, EOFError), connect(str(self._address)) as line:
            call(line, {"do": "end"})


@contextmanager
def witnessed(address: Path) -> Iterator[Witness]:
    witness = Witness(address)
    witness.thread.start()
    try:
        yield witness
    finally:
        witness.is_over.set()
        witness.thread.join()
        witness.end_arm()
