"""`reflex datasets stats`: statistics from the data, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from reflex.cli.datasets.progress import shown_progress
from reflex.cli.datasets.show import DatasetArgument
from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say, show

__all__ = ["stats"]

SHOWN = ("min", "q01", "mean", "std", "q99", "max")


def stats(
    dataset: DatasetArgument,
    *,
    write: Annotated[bool, typer.Option("--write", help="Also put them in place of meta/stats.json.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compute min, max, mean, standard deviation and quantiles of every feature, from the data.

    Of numbers they are exact, of pictures over every tenth frame.

    Example:

    \b
      reflex datasets stats recordings/2026-11-27/lerobot --write
    """
    statistics = load_extra("reflex_learning.statistics", "datasets", as_json=as_json)
    with reported_errors(as_json=as_json), shown_progress() as progress:
        found = statistics.compute_stats(dataset, progress)
        if write:
            statistics.write_stats(dataset, found)
    told = statistics.told(found)
    if as_json:
        print_json(told)
        return
    for name, of in told.items():
        for line in _lines(name, of):
            show(line)
    if write:
        say(f"written: {dataset / 'meta' / 'stats.json'}")


def _lines(name: str, of: Mapping[str, Any]) -> Iterator[str]:
    """A line for each value; of pictures for each channel."""
    rows = list(zip(*(_flat(of[key]) for key in SHOWN), strict=True))
    for number, row in enumerate(rows):
        values = "  ".join(f"{key} {value:.5g}" for key, value in zip(SHOWN, row, strict=True))
        show_name = name if len(rows) == 1 else f"{name}[{number}]"
        yield f"{show_name}  {values}"


def _flat(values: Any) -> list[float]:  # noqa: ANN401  # lists in lists, of any depth
    return [float(values)] if not isinstance(values, list) else [each for value in values for each in _flat(value)]
