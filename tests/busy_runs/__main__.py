"""`make busy-runs`: `make test` again and again beside programs that do nothing but count, until a run is red.

The order of the tests is another one in each run. Whoever wants a folder with a space has a clone in one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
COUNTING: Final = (sys.executable, "-c", "while True: pass")
TEST: Final = ("make", "test")
OUTER_MAKE: Final = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "ARGS")
"""With these a make hands its own words on: `--runs` is none of pytest's."""
SHOWN_LINES: Final = 60
"""Of a run that was red."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    took_s = []
    for number in range(1, options.runs + 1):
        with busy_programs(options.busy):
            began = time.monotonic()
            run = subprocess.run(TEST, cwd=options.folder, env=own_words(), capture_output=True, text=True, check=False)
            took_s.append(time.monotonic() - began)
        lines = run.stdout.splitlines() or [""]
        print(f"run {number}: {took_s[-1]:.0f} s, exit code {run.returncode}  {lines[-1].strip('= ')}", flush=True)
        if run.returncode:
            print("\n".join([*lines[-SHOWN_LINES:], run.stderr]))
            return 1
    times = f"{min(took_s):.0f} to {max(took_s):.0f} s"
    print(f"{len(took_s)} runs beside {options.busy} busy programs: all green, {times}")
    return 0


def own_words() -> dict[str, str]:
    """The environment without what an outer make was told."""
    return {name: value for name, value in os.environ.items() if name not in OUTER_MAKE}


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """So many processes that count, until the end."""
    processes = [subprocess.Popen(COUNTING) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make busy-runs", description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=10, help="of `make test` (default: %(default)s)")
    parser.add_argument("--busy", type=int, default=4, help="programs that count beside it (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=REPOSITORY, help="the clone (default: this one)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
