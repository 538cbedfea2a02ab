"""The command line's root. Commands import what is heavy when they run, so that `reflex --help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import reflex
from reflex.cli.act import act
from reflex.cli.admin import replace, slots, split
from reflex.cli.doctor import doctor
from reflex.cli.export import engines, export, verify
from reflex.cli.inspect import inspect
from reflex.cli.keys import keys
from reflex.cli.output import EXIT_INTERRUPTED
from reflex.cli.replay import replay
from reflex.cli.serve import serve
from reflex.cli.traces import compare, traces

__all__ = ["app", "main"]

app = typer.Typer(
    help="Serve vision-language-action policies to robots, and ask them for actions.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Plain help is one third as long, and "[env: ...]" in it is no markup.
)
app.command()(act)
app.command()(serve)
app.command()(slots)
app.command()(split)
app.command()(replace)
app.command()(replay)
app.command()(compare)
app.add_typer(traces, name="traces")
app.command()(doctor)
app.command()(export)
app.command()(verify)
app.command()(inspect)
app.add_typer(engines, name="engines")
app.add_typer(keys, name="keys")


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # typer's callback signature
    if wanted:
        typer.echo(reflex.__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Serve vision-language-action policies to robots, and ask them for actions."""
