"""Kill -9 of trainers, workers and the control plane: `python -m support.trainer.kills.campaign --kills 30`.

Prints a table of what was killed and what became of the runs that were hit. The exit code is 1 where a run did not end
well or with its reason, or where anything stands twice.
"""

from __future__ import annotations

import argparse
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.signed.receipts import verify_lines
from reflex.training.states import ENDED
from support.trainer.kills.lab import Lab, log_of, weight
from support.waiting import wait_until

__all__ = ["Kill", "main", "struck", "table"]

KINDS: Final = ("trainer", "worker", "control plane")
PAUSE_S: Final = 3.0
DOWN_S: Final = 2.0
"""At most: between two kills, and before what was killed is started again."""
ENDS_S: Final = 300.0


@dataclass(frozen=True)
class Kill:
    """What was killed, and the runs under way that it had to do with."""

    kind: str
    hit: tuple[str, ...]


def struck(lab: Lab, kills: int) -> list[Kill]:
    """All kinds alike, in an order and at instants of their own; a trainer is at work at each of them."""
    kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
    lab.chance.shuffle(kinds)
    done = []
    for kind in kinds:
        lab.keep_busy()
        lab.rest(PAUSE_S)
        wait_until(lambda: lab.trainers() and lab.under_way(), "something is trained")
        done.append(Kill(kind, _strike(lab, kind)))
        print(f"  {len(done):3} {kind}", file=sys.stderr, flush=True)
    return done


def _strike(lab: Lab, kind: str) -> tuple[str, ...]:
    hit = lab.under_way()
    if kind == "trainer":
        return (lab.kill_trainer(),)
    if kind == "worker":
        run_id = lab.chance.choice(hit)
        machine = lab.run(run_id)["worker"]["name"]
        lab.workers[machine].kill()
        lab.workers[machine].wait()
        lab.rest(DOWN_S)
        lab.start_worker(machine)
        return (run_id,)
    lab.control.stop(signal.SIGKILL)
    lab.rest(DOWN_S)
    lab.start_control()
    return tuple(hit)


def judged(lab: Lab) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Every run as it ended, and what is wrong."""
    runs = {run_id: lab.run(run_id) for run_id in lab.requests}
    wrong = [*_of_runs(lab, runs), *_of_registry(lab, runs), *_of_receipts(lab, runs)]
    with closing(sqlite3.connect(lab.data / "control.db")) as store:
        if store.execute("PRAGMA quick_check").fetchone() != ("ok",):
            wrong.append("the store is damaged")
    return runs, wrong


def _of_runs(lab: Lab, runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if len(lab.client.list_training_runs(all=True)["runs"]) != len(runs):
        yield "a run was queued twice"
    for run_id, run in runs.items():
        if run["state"] == "succeeded" and run["step"] != lab.requests[run_id].steps:
            yield f"{run_id} succeeded at step {run['step']}"
        if run["state"] == "failed" and not run["reason"]:
            yield f"{run_id} failed without a reason"
        is_trained = run["state"] == "succeeded" and not run["exported"]
        if is_trained and weight(lab.requests[run_id]) not in lab.weights(run_id):
            yield f"{run_id} has other weights than one that was left alone"
        lines = log_of(lab, run_id)
        if [line["number"] for line in lines] != list(range(len(lines))):
            yield f"the lines of {run_id} have other numbers than 0, 1, 2, ..."
        if sum(line["text"].startswith(f"reflex: {run['state']}: ") for line in lines) != 1:
            yield f"the log of {run_id} tells its end other than once"


def _of_registry(lab: Lab, runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    names = Counter(model["name"] for model in lab.client.list_models()["models"])
    wanted = Counter(run["exported"]["policy"] for run in runs.values() if run["exported"])
    if names != wanted:
        yield f"registered are {dict(names)}, exported {dict(wanted)}"


def _of_receipts(lab: Lab, runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    verdict = verify_lines(lab.control.ask("GET", "/v1/receipts/export", lab.key).content.splitlines())
    if not verdict.is_whole:
        yield f"the receipts are no whole chain: {verdict.fault}"
    for kind, wanted in (("queued", len(runs)), ("succeeded", None), ("failed", None)):
        receipts = lab.client.list_receipts(kind=f"training_{kind}", limit=1000)["receipts"]
        ended = sum(run["state"] == kind for run in runs.values()) if wanted is None else wanted
        if len(receipts) != ended:
            yield f"{ended} runs are {kind}, and {len(receipts)} receipts say so"


def table(kills: Sequence[Kill], runs: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a kind: kills, runs that were hit, and how those ended."""
    rows: list[tuple[str, ...]] = [("killed", "times", "runs hit", "succeeded", "failed", "attempts at most")]
    for kind in (*KINDS, "in all"):
        these = [kill for kill in kills if kind in (kill.kind, "in all")]
        hit = {run_id for kill in these for run_id in kill.hit}
        states = Counter(runs[run_id]["state"] for run_id in hit)
        most = max((runs[run_id]["attempt"] for run_id in hit), default=0)
        rows.append((kind, *map(str, (len(these), len(hit), states["succeeded"], states["failed"], most))))
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], ("---",) * len(rows[0]), *rows[1:]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="training-kills-") as folder, ExitStack() as opened:
        lab = Lab(Path(folder), opened, random.Random(given.seed))
        kills = struck(lab, given.kills)
        wait_until(
            lambda: all(lab.run(run_id)["state"] in ENDED for run_id in lab.requests), "all runs have ended",
            timeout_s=ENDS_S,
        )  # fmt: skip
        runs, wrong = judged(lab)
    print(table(kills, runs))
    print(f"{len(runs)} runs, {time.monotonic() - began:.0f} s, seed {given.seed}")
    for run in runs.values():
        if run["state"] != "succeeded":
            print(f"{run['id']} {run['state']}: {run['reason']}")
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
