"""The group `reflex bench`."""

from __future__ import annotations

import typer

from reflex.cli.bench.adaptive import adaptive
from reflex.cli.bench.motion import motion

__all__ = ["bench"]

bench = typer.Typer(help="Measure what a running server is good for.", no_args_is_help=True, rich_markup_mode=None)
bench.command(short_help="How smoothly a simulated arm moves, over a slow network.")(motion)
bench.command(short_help="What adaptive denoising steps save, and what they cost.")(adaptive)


@bench.callback()
def _root() -> None:
    """Measure what a running server is good for."""
