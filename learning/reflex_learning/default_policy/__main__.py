"""Makes the policy that ships with Reflex from nothing: python -m reflex_learning.default_policy --folder FOLDER."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

from reflex.console import EXIT_FAILED, EXIT_INTERRUPTED, print_json, say
from reflex.errors import ReflexError
from reflex_learning.default_policy.making import Making, summary
from reflex_learning.default_policy.recipe import Recipe

__all__ = ["main"]

EXAMPLE: Final = "example: make train-default ARGS='--folder /tmp/policy --repository /tmp/models'"
SMALLER: Final = ("episodes", "steps", "evaluated", "ablated", "at_least", "seed")
"""What may be said otherwise, for a try."""


def main(arguments: list[str] | None = None) -> int:
    """Demonstrations, dataset, trainer, export, parity, evaluation; interrupted, it goes on when it is run again."""
    asked = _parser().parse_args(arguments)
    given = {name: getattr(asked, name) for name in SMALLER if getattr(asked, name) is not None}
    making = Making(
        recipe=replace(Recipe(), **given), folder=asked.folder.absolute(), repository=asked.repository.absolute(),
        lerobot=asked.lerobot, say=say,
    )  # fmt: skip
    try:
        made = making.make()
    except KeyboardInterrupt:
        say("interrupted; run it again, and it goes on")
        return EXIT_INTERRUPTED
    except ReflexError as exc:
        say(f"reflex: {exc}")
        return EXIT_FAILED
    for line in summary(made):
        say(line)
    if asked.json:
        print_json(made)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make train-default", description=main.__doc__, epilog=EXAMPLE)
    parser.add_argument("--folder", type=Path, required=True, help="of everything that is made on the way")
    parser.add_argument("--repository", type=Path, required=True, help="the model repository that gets the policy")
    parser.add_argument("--lerobot", type=Path, required=True, help="LeRobot's environment; made when absent, 5.7 GB")
    parser.add_argument("--json", action="store_true", help="print one JSON value as well")
    defaults = {each.name: each.default for each in fields(Recipe)}
    for name in SMALLER:
        kind = float if name == "at_least" else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"default {defaults[name]}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
