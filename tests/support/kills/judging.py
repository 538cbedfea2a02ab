"""What became of a run that was struck, and the table of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from support.kills.faults import Bench, Fault

__all__ = ["Outcome", "first_error_faults", "table"]

SIGTERM_EXIT: Final = 143


@dataclass(frozen=True)
class Outcome:
    """`took_s` is what the fault's `within_s` bounds; `problems` is whatever else is not as it is promised."""

    fault: str
    bench: Bench
    number: int
    took_s: float
    within_s: float
    first_error: str = ""
    problems: tuple[str, ...] = field(default=())
    words: str = ""

    @property
    def job(self) -> tuple[str, Bench, int]:
        return (self.fault, self.bench, self.number)

    @property
    def is_kept(self) -> bool:
        return not self.problems and self.took_s <= self.within_s

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def first_error_faults(fault: Fault, told: Mapping[str, Any]) -> list[str]:
    """What is wrong with how a run said that it ended."""
    codes = [each["code"] for each in told.get("errors", ())]
    if not fault.errors:
        is_well = told.get("ok") and told["exit"] == SIGTERM_EXIT
        return [] if is_well else [f"it ended with {told['exit']} and {codes}"]
    wrong = [] if codes and codes[0] in fault.errors else [f"its errors are {codes}"]
    return wrong + ([] if told["exit"] else ["its exit code is 0"])


def table(outcomes: Iterable[Outcome], faults: Sequence[Fault]) -> list[str]:
    """One line for each fault on each bench, and the total."""
    done = list(outcomes)
    lines = [f"{'fault':34} {'runs':>5} {'kept':>5} {'worst':>10} {'bound':>9}  first errors"]
    for bench in ("simulator", "servos"):
        for fault in faults:
            some = [each for each in done if (each.fault, each.bench) == (fault.name, bench)]
            if some:
                lines.append(_line(f"{fault.name} ({bench})", some))
    kept = sum(each.is_kept for each in done)
    return [*lines, f"{'total':34} {len(done):>5} {kept:>5}"]


def _line(name: str, some: Sequence[Outcome]) -> str:
    kept, worst_s = sum(each.is_kept for each in some), max(each.took_s for each in some)
    errors = ", ".join(sorted({each.first_error for each in some if each.first_error})) or "-"
    return f"{name:34} {len(some):>5} {kept:>5} {worst_s * 1000:>7.1f} ms {some[0].within_s * 1000:>6.0f} ms  {errors}"
