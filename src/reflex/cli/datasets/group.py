"""The group `reflex datasets`."""

from __future__ import annotations

import typer

from reflex.cli.datasets.convert import convert
from reflex.cli.datasets.register import register, registered
from reflex.cli.datasets.repair import repair
from reflex.cli.datasets.show import list_datasets, show_dataset
from reflex.cli.datasets.stats import stats
from reflex.cli.datasets.validate import validate

__all__ = ["datasets"]

datasets = typer.Typer(help="Look after datasets and recordings of runs.", no_args_is_help=True, rich_markup_mode=None)
datasets.command("list", short_help="List the datasets in a folder.")(list_datasets)
datasets.command("show", short_help="Show what a dataset holds.")(show_dataset)
datasets.command(short_help="Hold a dataset to rules, before training.")(validate)
datasets.command(short_help="Compute the statistics of a dataset.")(stats)
datasets.command(short_help="Write a dataset of version 2 as version 3.")(convert)
datasets.command(short_help="Tell the control plane of a dataset.")(register)
datasets.command(short_help="Show what the control plane knows.")(registered)
datasets.command(short_help="Make whole what a killed run left.")(repair)


@datasets.callback()
def _root() -> None:
    """Look after datasets and recordings of runs."""
