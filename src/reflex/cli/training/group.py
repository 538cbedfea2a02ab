"""The group `reflex training`."""

from __future__ import annotations

import typer

from reflex.cli.training.following import logs, wait
from reflex.cli.training.runs import cancel, list_runs, show_run
from reflex.cli.training.setup import setup
from reflex.cli.training.start import start
from reflex.cli.training.worker import worker

__all__ = ["training"]

training = typer.Typer(
    help="Train policies on datasets, by a queue and its workers.", no_args_is_help=True, rich_markup_mode=None
)
training.command(short_help="Queue a run.")(start)
training.command("list", short_help="Show runs, and who waits before whom.")(list_runs)
training.command("show", short_help="Show one run.")(show_run)
training.command(short_help="Print the log of a run, also as it grows.")(logs)
training.command(short_help="End a run.")(cancel)
training.command(short_help="Wait for the end of a run.")(wait)
training.command(short_help="Make the environment in which a worker trains.")(setup)
training.command(short_help="Work on the runs of the queue.")(worker)


@training.callback()
def _root() -> None:
    """Train policies on datasets, by a queue and its workers."""
