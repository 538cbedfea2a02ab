"""`make diagnose-table`: every fault and every healthy set-up, and what a diagnosis names first, as lines of a table.

The policy is fitted on demonstrations in the simulator; with `--policy pick_up_the_cube` it is the one that ships, and
is asked about fresh demonstrations. It answers in this process; with `--served`, by `reflex serve`.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from reflex_learning.diagnosis.report import Diagnosis
from support.diagnosis import faults, shipped_faults
from support.diagnosis.breaking import Fault
from support.diagnosis.demonstrations import demonstrations
from support.diagnosis.diagnosed import diagnosed, diagnosed_shipped, is_named
from support.diagnosis.faults import Setup
from support.diagnosis.fitted import fit
from support.diagnosis.shipped import NAME, Shipped, recorded, serving

__all__ = ["TRAINED_ON", "main"]

TRAINED_ON = range(1_000, 1_050)
HELD_OUT = range(10)
FEWEST_NAMED = 0.9
Diagnose = Callable[[Fault, Path], Diagnosis]


def main() -> int:
    """Print the table; 1 where a healthy set-up raises an alarm, or fewer than nine in ten faults are named first."""
    given = _arguments()
    os.environ.setdefault("MUJOCO_GL", "egl")
    table = shipped_faults if given.policy else faults
    asking = _shipped(given.seed, given.served) if given.policy else _fitted(given.served)
    right: dict[bool, list[bool]] = {True: [], False: []}
    with asking as diagnose:
        print("| set-up | named first | with that undone | answers | seconds |\n|---|---|---|---|---|")
        for fault in _part([*table.FAULTS, *table.HEALTHY], given.cases):
            if given.only in fault.name:
                right[bool(fault.named)].append(_row(fault, diagnose))
    named, quiet = right[True], right[False]
    print(f"\n{sum(named)} of {len(named)} faults are named first;", end=" ")
    print(f"{quiet.count(False)} of {len(quiet)} healthy set-ups raise an alarm")
    return 0 if all(quiet) and sum(named) >= FEWEST_NAMED * len(named) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m support.diagnosis.table", description=main.__doc__)
    parser.add_argument("--only", default="", help="set-ups with this in their name")
    parser.add_argument("--cases", default="", help="part of the table, by line: 1-12")
    parser.add_argument("--served", action="store_true", help="ask a real server")
    parser.add_argument("--policy", choices=[NAME], help="the policy that ships, in place of a fitted one")
    parser.add_argument("--seed", type=int, default=0, help="which scenes are recorded for it, and which frames chosen")
    return parser.parse_args()


def _part(all_of_them: list[Fault], cases: str) -> list[Fault]:
    first, _, last = cases.partition("-")
    return all_of_them[int(first or 1) - 1 : int(last) if last else None]


@contextmanager
def _fitted(served: bool) -> Iterator[Diagnose]:
    held, fitted = demonstrations(HELD_OUT), fit(demonstrations(TRAINED_ON))
    yield lambda fault, folder: diagnosed(fault, Setup(copy.deepcopy(held), fitted), folder, served=served)


@contextmanager
def _shipped(seed: int, served: bool) -> Iterator[Diagnose]:
    """One server for all that changes nothing about it."""
    with ExitStack() as stack:
        held, url = recorded(seed), None
        if served:
            url = stack.enter_context(serving(Shipped(held), Path(stack.enter_context(TemporaryDirectory()))))
        yield lambda fault, own: diagnosed_shipped(fault, Shipped(copy.deepcopy(held)), own, url, seed)


def _row(fault: Fault, diagnose: Diagnose) -> bool:
    started_s = time.monotonic()
    with TemporaryDirectory() as folder:
        found = diagnose(fault, Path(folder))
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
