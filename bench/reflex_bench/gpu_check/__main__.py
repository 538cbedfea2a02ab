"""`make gpu-check`: what one card makes of the policies, in at most eight minutes, with or without network.

    python -m reflex_bench.gpu_check [--small] [--seconds 480] [--only STAGE]...

The card and its ceilings; parity of every recorded case on each way of running that it has (ONNX Runtime CUDA,
TensorRT for RTX); milliseconds per chunk of full-size policies with random weights by cameras and batch, beside the
computed bound; `/act` through the embedded server; the same mathematics in PyTorch where that is installed. Each stage
has a share of the time, and what does not fit is said. Prints a table, and writes JSON with every figure.

`--small` runs every stage on the processor with the small recorded policies: it proves the check, not a card.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from reflex.interruption import interruptible
from reflex_bench.gpu_check.card import NoCardError, find_card, machine_card
from reflex_bench.gpu_check.isolated import run_isolated
from reflex_bench.gpu_check.plan import FULL, SHARES, SMALL, Plan
from reflex_bench.gpu_check.report import Report, StageReport, commit_of
from reflex_bench.gpu_check.rows import Emit, LeftOut, Row
from reflex_bench.gpu_check.stages.act import measure_act
from reflex_bench.gpu_check.stages.ceilings import measure_ceilings
from reflex_bench.gpu_check.stages.chunks import measure_chunks
from reflex_bench.gpu_check.stages.in_torch import measure_torch
from reflex_bench.gpu_check.stages.parity import measure_parity
from reflex_bench.gpu_check.stages.ways_here import measure_ways
from reflex_bench.gpu_check.ways import Way

__all__ = ["main", "run"]

ROOT: Final = Path(__file__).parents[3]
OUTPUT: Final = Path("bench/results/gpu_check.json")
LEAST_S: Final = 2.0
"""A stage is not begun with less."""
INTERRUPTED: Final = 130
PREFIX: Final = "reflex-gpu-check-"

Work = Callable[[Emit], None]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    plan = SMALL if options.small else FULL
    plan = replace(plan, seconds=options.seconds or plan.seconds)
    try:
        card = machine_card() if plan.is_small else find_card()
    except NoCardError as exc:
        print(f"gpu-check: {exc}", file=sys.stderr)
        return 1
    report = Report(card, plan.is_small, commit_of(ROOT), options.output)
    print(f"{card}; commit {report.commit or 'unknown'}; at most {plan.seconds:.0f} s", flush=True)
    try:
        with _ended_in_order(), tempfile.TemporaryDirectory(prefix=PREFIX, dir=options.scratch) as scratch:
            run(plan, report, options.golden, Path(scratch), options.only or tuple(SHARES))
    except KeyboardInterrupt:
        print(f"gpu-check: interrupted; what was measured is in {report.path}", file=sys.stderr)
        return INTERRUPTED
    finally:
        report.write()
    print(f"written: {report.path}")
    return 0 if report.ways else 1


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Inside, SIGTERM and a terminal that hangs up end the run as Ctrl-C does; `nohup` remains what it is."""
    with interruptible() as interrupted:
        before = signal.getsignal(signal.SIGHUP)
        if before is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, signal.SIG_IGN if interrupted() else before)


def run(plan: Plan, report: Report, golden: Path, scratch: Path, only: Sequence[str] = tuple(SHARES)) -> None:
    """Stage after stage; the time that one leaves is the next one's."""
    ends = time.monotonic() + plan.seconds
    due = ends - plan.seconds
    for name in SHARES:
        due += plan.seconds * SHARES[name]
        if name not in only and name != "ways":
            continue
        stage = StageReport(name)
        report.stages.append(stage)
        _run_stage(stage, plan, report, golden, scratch, min(due, ends) - time.monotonic())
        report.write()


def _run_stage(stage: StageReport, plan: Plan, report: Report, golden: Path, scratch: Path, seconds: float) -> None:
    print(f"\n{stage.name}, at most {max(seconds, 0):.0f} s", flush=True)
    began = time.monotonic()

    def keep(told: Row | LeftOut) -> None:
        stage.seconds = round(time.monotonic() - began, 1)
        stage.add(told)
        report.write()  # whatever ends this process, even SIGKILL, what was measured is there

    work = _works(plan, report, golden, scratch).get(stage.name)
    if work is None:
        keep(LeftOut("no way of running works here"))
    elif seconds < LEAST_S:
        keep(LeftOut("the time is over; a longer --seconds gives it some"))
    else:
        run_isolated(work, seconds, keep, scratch)
    stage.seconds = round(time.monotonic() - began, 1)


def _works(plan: Plan, report: Report, golden: Path, scratch: Path) -> dict[str, Work]:
    """What each stage does, of those that can be done."""
    ways = [way for way in plan.ways if way in report.ways]
    if not ways:
        return {"ways": partial(measure_ways, plan)}
    first: Way = ways[0]

    def model_ms(family: str, cameras: int) -> float | None:
        return report.value(family=family, cameras=cameras, part="together", batch=1, way=first)

    return {
        "ceilings": partial(measure_ceilings, plan, first),
        "chunks": partial(measure_chunks, plan, ways, report.ceilings, golden, scratch),
        "parity": partial(measure_parity, plan, ways, golden),
        "act": partial(measure_act, plan, first, model_ms, golden, scratch),
        "torch": partial(measure_torch, plan, first, model_ms, golden, scratch),
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m reflex_bench.gpu_check",
        description=__doc__,
        epilog="example: make gpu-check ARGS='--only ceilings --only chunks'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--small", action="store_true", help="on the processor, with small policies, in under a minute")
    parser.add_argument("--seconds", type=float, default=None, help="all of it; the default is 480, in small 120")
    parser.add_argument("--only", action="append", choices=tuple(SHARES), help="this stage; may be repeated")
    parser.add_argument("--golden", type=Path, default=ROOT / "tests" / "golden", help="the recorded checkpoints")
    parser.add_argument("--scratch", type=Path, default=None, help="a folder with 25 GB free; the default is TMPDIR")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"the JSON; the default is {OUTPUT}")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
