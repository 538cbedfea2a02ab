"""`reflex datasets convert`: datasets of version 2 as version 3."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reflex.cli.datasets.progress import shown_progress
from reflex.cli.datasets.show import DatasetArgument
from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say

__all__ = ["convert"]


def convert(
    dataset: DatasetArgument,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the new dataset goes; must not be there yet.")],
    as_json: JsonOption = False,
) -> None:
    """Write a LeRobot dataset of version 2.0 or 2.1 as one of version 3.0, beside the old one.

    Tables and videos stay as they are, byte for byte; only the statistics are computed anew.

    Example:

    \b
      reflex datasets convert cubes-v21 --out cubes
    """
    conversion = load_extra("reflex_learning.conversion", "datasets", as_json=as_json)
    with reported_errors(as_json=as_json), shown_progress() as progress:
        conversion.convert(dataset, out, progress)
    if as_json:
        print_json({"dataset": str(dataset), "out": str(out)})
        return
    say(f"written: {out}; next: reflex datasets validate {out}")
