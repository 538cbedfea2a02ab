"""Which card this is, as the driver's own tool says; nothing here touches the card itself."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["Card", "NoCardError", "find_card", "machine_card"]

FIELDS: Final = ("name", "compute_cap", "driver_version", "memory.total")
COMMAND: Final = ("nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits")
TIMEOUT_S: Final = 20.0


class NoCardError(Exception):
    """There is none here, or its driver does not answer; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Card:
    """The first card of this machine; of a machine without one, its processor, `compute` and `driver` empty."""

    name: str
    compute: str
    driver: str
    memory_mib: int

    def __str__(self) -> str:
        if not self.compute:
            return f"{self.name} (no card: the processor stands in for one)"
        return f"{self.name}, compute capability {self.compute}, driver {self.driver}, {self.memory_mib:,} MiB"


def find_card(ask: Callable[[], str] | None = None) -> Card:
    """`NoCardError` where the driver shows none."""
    answer = (ask or _ask)()
    first = next(iter(answer.strip().splitlines()), "")
    parts = [part.strip() for part in first.split(",")]
    if len(parts) != len(FIELDS) or not parts[3].isdigit():
        raise NoCardError(f"nvidia-smi shows no card ({first or 'no line'}); run it by itself and see what it says")
    return Card(parts[0], parts[1], parts[2], int(parts[3]))


def machine_card() -> Card:
    """For `--small`."""
    return Card(platform.processor() or platform.machine(), "", "", 0)


def _ask() -> str:
    if shutil.which(COMMAND[0]) is None:
        raise NoCardError(
            "there is no nvidia-smi here: install NVIDIA's driver, or start the container with --gpus all; "
            "without a card, `--small` proves the check itself on the processor"
        )
    try:
        done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NoCardError(f"nvidia-smi does not answer ({exc}); the driver hangs, restart the machine") from exc
    if done.returncode:
        raise NoCardError(f"nvidia-smi failed: {(done.stderr or done.stdout).strip()[:300]}; mend the driver first")
    return done.stdout
