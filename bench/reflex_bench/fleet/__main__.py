"""`make bench-fleet`: how many robots one GPU serves with 98 % of their deadlines kept, against one plain queue.

Without a GPU its models take the times that were measured on one, by batch, behind the real server and its embedded
Triton. Prints a table, writes JSON, and exits 1 when a target of docs/benchmarks.md is missed. With --policy the fleet
asks a real policy instead: on a machine whose GPU it runs on.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import uvloop

from reflex_bench.fleet.measured import MEASURED
from reflex_bench.fleet.report import Report, table
from reflex_bench.fleet.robots import HORIZON, LEFT
from reflex_bench.fleet.stand_in import ENCODER_MAX_BATCH, FORMS, write_stand_in
from reflex_bench.fleet.trial import Way
from reflex_bench.fleet.ways import ONE_QUEUE, TOGETHER, Plan, measure, way_of
from reflex_bench.server import reflex_server

LONG_QUEUE = 256
PATIENT_S = 90.0


def main() -> int:
    options = _options()
    served_as = "it is served" if options.policy else f"{options.form} on Triton"
    report = Report(options.policy or options.model, served_as)
    seconds, rounds = (4.0, 15) if options.quick else (10.0, 100)
    plan = Plan(options.seconds or seconds, rounds, options.most, options.left, PATIENT_S)
    try:
        with _ways(options) as ways:
            plan = plan.bounded_by(None if options.policy else MEASURED[options.model])
            uvloop.run(measure(ways, plan, report, compares_lone=options.policy is None))
    except KeyboardInterrupt:
        report.is_whole = False
    print(table(report))
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    shown = {"machine": machine, **asdict(report), "missed": report.missed()}
    options.output.write_text(json.dumps(shown, indent=2) + "\n")
    return 1 if report.missed() else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m reflex_bench.fleet",
        description=__doc__,
        epilog="example: make bench-fleet ARGS='--model smolvla'",
    )
    parser.add_argument("--model", choices=sorted(MEASURED), default="pi0", help="whose measured times the models take")
    parser.add_argument("--form", choices=FORMS, default="one", help="the policy as one model on Triton, or as three")
    parser.add_argument(
        "--left", type=int, default=LEFT, metavar="N", help="actions of its 50 that a robot has left when it asks (25)"
    )
    parser.add_argument(
        "--encoder-batch", type=int, default=ENCODER_MAX_BATCH, metavar="N", help="of three models, the encoder's (2)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a minute, for a look: too few requests to hold a promise to"
    )
    parser.add_argument("--seconds", type=float, help="of each trial of a fleet (10; with --quick 4)")
    parser.add_argument("--most", type=int, default=200, help="robots, where the times do not say how many at most")
    parser.add_argument("--policy", help="a real policy instead, served as `reflex serve --policy` would")
    parser.add_argument("--model-repository", type=Path, help="where that policy lies")
    parser.add_argument("--triton", metavar="ADDRESS", help="the Triton on which that policy is loaded")
    parser.add_argument("--output", type=Path, default=Path("bench/results/fleet.json"))
    options = parser.parse_args()
    if not 1 <= options.left < HORIZON:
        parser.error(f"--left must be 1 to {HORIZON - 1}: a robot executes some of its chunk, and has some left")
    if options.policy and not options.model_repository:
        parser.error("--policy needs --model-repository: the folder with its models")
    if options.triton and not options.policy:
        parser.error("--triton needs --policy: which policy is loaded there")
    return options


@contextlib.contextmanager
def _ways(options: argparse.Namespace) -> Iterator[list[Way]]:
    """First that of the product, then one queue without batching. Both run all the time, and one of them is asked."""
    if options.policy:
        told = ["--triton", options.triton] if options.triton else []
        with reflex_server(options.model_repository, "--policy", options.policy, *told) as served:
            yield [way_of(TOGETHER, served.port), way_of(ONE_QUEUE, served.port, in_line=True)]
        return
    with contextlib.ExitStack() as stack:
        ways = []
        for name, max_batch in ((TOGETHER, None), (ONE_QUEUE, 1)):
            repository = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reflex-bench-")))
            write_stand_in(
                repository,
                MEASURED[options.model],
                form=options.form,
                max_batch=max_batch,
                encoder_batch=options.encoder_batch,
            )
            queue = () if max_batch is None else ("--max-queue", str(LONG_QUEUE))
            served = stack.enter_context(reflex_server(repository, "--no-guard", *queue))
            ways.append(way_of(name, served.port, has_nonce=True))
        yield ways


if __name__ == "__main__":
    sys.exit(main())
