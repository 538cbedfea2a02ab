"""`make served-equals-in-process`: does a served policy succeed as often as its checkpoint in LeRobot's own process?

    python -m reflex_bench.in_process --lerobot .lerobot --checkpoint .train-default/averaged

Exits 1 unless the paired difference's interval holds 0 and stays within 3 %, for JPEG and for raw pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from reflex.console import EXIT_FAILED, EXIT_INTERRUPTED, print_json, say
from reflex.errors import ReflexError
from reflex_bench.in_process.measuring import MARGIN, Found, Measuring
from reflex_learning.default_policy.recipe import Recipe
from reflex_runner.evaluation.words import percent, span

__all__ = ["main", "table"]

COLUMNS: Final = (
    "pictures", "served by Reflex", "run by LeRobot", "difference", "95 % interval", "won by the first alone",
    "by the second alone", "in as many steps",
)  # fmt: skip
EXAMPLE: Final = "example: make served-equals-in-process LEROBOT=.lerobot CHECKPOINT=.train-default/averaged"
RECIPE: Final = Recipe()


def main(arguments: list[str] | None = None) -> int:
    """Play the same seeds with the served policy and with LeRobot; interrupted, it goes on when it is run again."""
    asked = _parser().parse_args(arguments)
    measuring = Measuring(
        checkpoint=asked.checkpoint, lerobot=asked.lerobot, repository=asked.repository, policy=asked.policy,
        folder=asked.folder, seeds=range(asked.first, asked.first + asked.seeds), batch=asked.batch,
        picture_px=asked.picture_px, instruction=asked.instruction, say=say,
    )  # fmt: skip
    try:
        found = measuring.measure()
    except KeyboardInterrupt:
        say("interrupted; run it again, and it goes on")
        return EXIT_INTERRUPTED
    except ReflexError as exc:
        say(f"reflex: {exc}")
        return EXIT_FAILED
    if asked.json:
        print_json([_as_json(each) for each in found])
    else:
        print("\n".join(table(found)))
    differing = [each.pictures for each in found if not each.is_equal]
    if differing:
        say(f"not shown to be equal within {percent(MARGIN)}: {', '.join(differing)}; more --seeds narrow the interval")
    return EXIT_FAILED if differing else 0


def table(found: Sequence[Found]) -> list[str]:
    """As Markdown has one."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(_row, found)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _row(found: Found) -> tuple[str, ...]:
    pairs, total = found.pairs, found.pairs.total
    rate = (pairs.second_only - pairs.first_only) / total
    return (
        found.pictures, f"{pairs.both + pairs.first_only} of {total}", f"{pairs.both + pairs.second_only} of {total}",
        percent(rate, signed=True), span(found.interval, signed=True), str(pairs.first_only), str(pairs.second_only),
        str(found.same_steps),
    )  # fmt: skip


def _as_json(found: Found) -> dict[str, Any]:
    return {
        "pictures": found.pictures, "pairs": found.pairs._asdict(), "interval": found.interval,
        "sameSteps": found.same_steps, "equal": found.is_equal,
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make served-equals-in-process", description=main.__doc__, epilog=EXAMPLE)
    parser.add_argument("--lerobot", type=Path, required=True, help="LeRobot's environment")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the folder that the policy was exported from")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"), help="default model_repository")
    parser.add_argument("--policy", default=RECIPE.name, help=f"default {RECIPE.name}")
    parser.add_argument("--folder", type=Path, default=Path(".served-equals-in-process"), help="of what was played")
    parser.add_argument("--first", type=int, default=RECIPE.first_evaluated, help=f"seed, {RECIPE.first_evaluated}")
    parser.add_argument("--seeds", type=_count, default=RECIPE.evaluated, help=f"how many, {RECIPE.evaluated}")
    parser.add_argument("--batch", type=_count, default=25, help="so many are played before they are kept, 25")
    parser.add_argument("--picture-px", type=_count, default=RECIPE.picture_px, help=f"{RECIPE.picture_px}")
    parser.add_argument("--instruction", default=RECIPE.instruction, help=f"{RECIPE.instruction!r}")
    parser.add_argument("--json", action="store_true", help="print one JSON value instead of the table")
    return parser


def _count(told: str) -> int:
    count = int(told)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{told} is less than 1")
    return count


if __name__ == "__main__":
    sys.exit(main())
