"""`make diagnose-table`: every fault and every healthy set-up, and what a diagnosis names first, as lines of a table.

The policy is fitted on demonstrations in the simulator. It answers in this process; with `--served`, by `reflex serve`.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import tempfile
import time
from pathlib import Path

from support.diagnosis.demonstrations import demonstrations
from support.diagnosis.diagnosed import diagnosed, is_named
from support.diagnosis.breaking import Fault
from support.diagnosis.faults import FAULTS, HEALTHY, Setup
from support.diagnosis.fitted import fit

__all__ = ["TRAINED_ON", "main"]

TRAINED_ON = range(1_000, 1_050)
HELD_OUT = range(10)
FEWEST_NAMED = 0.9


def main() -> int:
    """Print the table; 1 where a healthy set-up raises an alarm, or fewer than nine in ten faults are named first."""
    parser = argparse.ArgumentParser(prog="python -m support.diagnosis.table", description=main.__doc__)
    parser.add_argument("--only", default="", help="set-ups with this in their name")
    parser.add_argument("--served", action="store_true", help="ask a real server, started for each set-up")
    given = parser.parse_args()
    os.environ.setdefault("MUJOCO_GL", "egl")
    held, fitted = demonstrations(HELD_OUT), fit(demonstrations(TRAINED_ON))
    print("| set-up | named first | with that undone | answers | seconds |\n|---|---|---|---|---|")
    right: dict[bool, list[bool]] = {True: [], False: []}
    for fault in [*FAULTS, *HEALTHY]:
        if given.only in fault.name:
            right[bool(fault.named)].append(_row(fault, Setup(copy.deepcopy(held), fitted), served=given.served))
    named, quiet = right[True], right[False]
    print(f"\n{sum(named)} of {len(named)} faults are named first;", end=" ")
    print(f"{quiet.count(False)} of {len(quiet)} healthy set-ups raise an alarm")
    return 0 if all(quiet) and sum(named) >= FEWEST_NAMED * len(named) else 1


def _row(fault: Fault, setup: Setup, *, served: bool) -> bool:
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = diagnosed(fault, setup, Path(folder), served=served)
    is_right = is_named(fault, found)
    first = f"`{found.findings[0].kind}`" if found.findings else "nothing"
    evidence = found.findings[0].evidence if found.findings else None
    fell = "" if evidence is None else f"{evidence.before:.2f} to {evidence.after:.2f}"
    took_s = time.monotonic() - started_s
    print(
        f"| {fault.name} | {first}{'' if is_right else ' (wrong)'} | {fell} | {found.requests:,} | {took_s:.0f} |",
        flush=True,
    )
    return is_right


if __name__ == "__main__":
    sys.exit(main())
