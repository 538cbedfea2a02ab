"""Why a trainer ended, in one sentence, and whether it is worth to begin again at the last checkpoint."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Verdict", "judge", "kills_for_memory"]

EXCEPTION: Final = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Exit|Interrupt|Enabled)\b(?::.*)?$")
WITHOUT_MEMORY: Final = re.compile(r"out of memory|OutOfMemoryError|can't allocate memory|MemoryError", re.IGNORECASE)
LOADER_LOST: Final = re.compile(r"DataLoader worker \(pid.*?\) (?:exited unexpectedly|is killed by signal)")
USAGE: Final = re.compile(r"error: (.*)")
REFUSED: Final = 2
LONGEST: Final = 400
SMALLER: Final = "choose a smaller batch size, LoRA, or a worker with more memory"
OWN_GROUP: Final = Path("/proc/self/cgroup")
GROUPS: Final = Path("/sys/fs/cgroup")
WHOLE_MACHINE: Final = Path("/proc/vmstat")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of an end that was no success."""

    reason: str
    is_passing: bool = False
    """Whether the same run may well go on where it was."""


def judge(code: int, lines: Sequence[str], *, ran_out_of_memory: bool) -> Verdict:
    """Of the exit code and the last lines; the kernel's killer is known only by its count."""
    text = "\n".join(lines)
    if ran_out_of_memory and (code == -signal.SIGKILL or LOADER_LOST.search(text)):
        return Verdict(f"the kernel ended the trainer because this machine's memory had run out; {SMALLER}")
    if code < 0:
        return Verdict(f"the trainer was ended by {_signal_name(-code)} from outside", is_passing=True)
    if LOADER_LOST.search(text):
        return Verdict("a process of the trainer that reads the dataset was ended from outside", is_passing=True)
    if WITHOUT_MEMORY.search(text):
        return Verdict(f"the trainer ran out of memory; {SMALLER}")
    if code == REFUSED:
        return Verdict(f"LeRobot refused the run's arguments: {_last(USAGE, lines, 1)}"[:LONGEST])
    if code == 0:
        return Verdict("the trainer ended well, but before its last step; see the run's log")
    return Verdict(f"the trainer failed: {_last(EXCEPTION, lines, 0)}"[:LONGEST])


def kills_for_memory(own: Path = OWN_GROUP, groups: Path = GROUPS, machine: Path = WHOLE_MACHINE) -> int:
    """How many processes the kernel has ended for want of memory, in our own group where it says so."""
    for line in _lines(own):
        if line.startswith("0::"):
            counted = _count(_lines(groups / line[3:].strip().lstrip("/") / "memory.events"))
            if counted is not None:
                return counted
    return _count(_lines(machine)) or 0


def _count(lines: Sequence[str]) -> int | None:
    found = [line.split() for line in lines if line.startswith("oom_kill ")]
    return int(found[0][1]) if found else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def _last(pattern: re.Pattern[str], lines: Sequence[str], group: int) -> str:
    found = [match[group] for line in lines if (match := pattern.search(line))]
    return found[-1] if found else "see the run's log"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
