"""Runs struck at random instants, several at once: `python -m support.kills.campaign --simulated 200 --servos 50`.

Prints a line for each run that broke a promise, then the table. Those runs are made again, one at a time: what is
broken then, too, is no matter of how busy the machine was, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import Empty
from typing import Any, Final

from support.kills.faults import FAULTS, Bench, Fault
from support.kills.in_simulator import NotStruckError, struck_in_simulator
from support.kills.judging import Outcome, table
from support.kills.on_servos import struck_on_servos
from support.kills.stack import RealArmServer, SessionStack
from support.waiting import HANGS_S

__all__ = ["main", "planned"]

TRIES: Final = 5
Job = tuple[str, Bench, int, str]
"""Fault, bench, number and seed."""


def planned(simulated: int, servos: int, seed: int, only: str = "") -> list[Job]:
    """Every fault in turn, in an order of its own; the same for the same seed."""
    jobs: list[Job] = []
    wanted: Sequence[tuple[Bench, int]] = (("simulator", simulated), ("servos", servos))
    for bench, number in wanted:
        faults = itertools.cycle(fault for fault in FAULTS if bench in fault.benches and only in fault.name)
        jobs += [(next(faults).name, bench, index, f"{seed}/{bench}/{index}") for index in range(number)]
    random.Random(seed).shuffle(jobs)
    return jobs


def _work(jobs: Any, outcomes: Any) -> None:
    """One process: a stack and a server of its own, one run after the other. What it has started ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="rk-stack-")))
        benches: dict[str, Any] = {}
        while (job := jobs.get()) is not None:
            outcomes.put(_done(job, benches, folder, opened))


def _done(job: Job, benches: dict[str, Any], folder: Path, opened: ExitStack) -> Outcome:
    name, bench, number, seed = job
    fault = next(each for each in FAULTS if each.name == name)
    trouble = ""
    for attempt in range(TRIES):
        try:
            return _strike(fault, bench, number, f"{seed}/{attempt}", benches, folder, opened)
        except NotStruckError as exc:
            trouble = f"never struck: {exc}"
        except Exception as exc:
            return _failed(fault, bench, number, f"{type(exc).__name__}: {exc}")
    return _failed(fault, bench, number, trouble)


def _failed(fault: Fault, bench: Bench, number: int, why: str) -> Outcome:
    return Outcome(fault.name, bench, number, float("inf"), fault.within_s, problems=(why,))


def _strike(
    fault: Fault, bench: Bench, number: int, seed: str, benches: dict[str, Any], folder: Path, opened: ExitStack
) -> Outcome:
    if bench not in benches:
        makes: Callable[[Path], Any] = SessionStack if bench == "simulator" else RealArmServer
        place = folder / bench
        place.mkdir(exist_ok=True)
        benches[bench] = makes(place)
        opened.callback(benches[bench].close)
    if bench == "simulator":
        return struck_in_simulator(fault, seed, number, benches[bench])
    return struck_on_servos(fault, seed, number, benches[bench])


def main(arguments: Sequence[str] = sys.argv[1:]) -> int:
    """See `--help`."""
    parser = argparse.ArgumentParser(prog="runner-kills", description=__doc__)
    parser.add_argument("--simulated", type=int, default=200, metavar="RUNS")
    parser.add_argument("--servos", type=int, default=50, metavar="RUNS")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="runs at once, each beside its own server")
    parser.add_argument("--run", action="append", metavar="BENCH/NUMBER", help="that run alone, of the same seed")
    parser.add_argument("--minutes", type=float, default=60.0, help="then what is left is given up, which is a failure")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults with this in their name")
    given = parser.parse_args(arguments)
    jobs = planned(given.simulated, given.servos, given.seed, given.only)
    jobs = [job for job in jobs if given.run is None or f"{job[1]}/{job[2]}" in given.run]
    print(f"{len(jobs)} runs, seed {given.seed}, {given.workers} at once", flush=True)
    ends_s = time.monotonic() + given.minutes * 60
    done = _all_done(jobs, given.workers, ends_s)
    for line in table(done, FAULTS):
        print(line, flush=True)
    again = [job for job in jobs if job[:3] in {each.job for each in done if not each.is_kept}]
    repeated = _all_done(again, 1, ends_s) if again else []
    if again:
        print(f"\nthose {len(again)} again, one at a time:")
        print("\n".join(table(repeated, FAULTS)))
    is_whole = (len(done), len(repeated)) == (len(jobs), len(again))
    return 0 if is_whole and all(each.is_kept for each in repeated) else 1


def _all_done(jobs: Sequence[Job], workers: int, ends_s: float) -> list[Outcome]:
    context = multiprocessing.get_context("spawn")
    waiting, outcomes = context.Queue(), context.Queue()
    for job in [*jobs, *[None] * workers]:
        waiting.put(job)
    processes = [context.Process(target=_work, args=(waiting, outcomes)) for _ in range(workers)]
    for process in processes:
        process.start()
    done: list[Outcome] = []
    while len(done) < len(jobs) and time.monotonic() < ends_s and any(each.is_alive() for each in processes):
        try:
            done.append(outcomes.get(timeout=1.0))
        except Empty:
            continue
        _tell(done[-1], len(done))
    for process in processes:
        if len(done) < len(jobs):
            process.terminate()
    for process in processes:
        process.join(HANGS_S)
        process.terminate()
    return done


def _tell(outcome: Outcome, number: int) -> None:
    if not outcome.is_kept:
        why = "; ".join(outcome.problems) or "too late"
        print(
            f"BROKEN {outcome.fault} ({outcome.bench}, run {outcome.number}): {outcome.took_s * 1000:.1f} ms of "
            f"{outcome.within_s * 1000:.0f}: {why}\n{outcome.words}",
            flush=True,
        )
    elif number % 10 == 0:
        print(f"{number} done", flush=True)


if __name__ == "__main__":
    sys.exit(main())
