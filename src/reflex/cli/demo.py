"""`reflex demo`: a trained policy to watch, and what comes with Reflex as a model repository of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.cli.up.showing import run
from reflex.console import print_json, reported_errors, say

__all__ = ["demo"]

demo = typer.Typer(
    help="The policies that come with Reflex, to try things with.", no_args_is_help=True, rich_markup_mode=None
)


@demo.callback()
def _demo() -> None:
    """The policies that come with Reflex, to try things with."""


demo.command(short_help="Watch a trained policy pick up the cube in the simulator.")(run)


@demo.command(short_help="Copy it into a folder.")
def copy(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; made when absent.", file_okay=False)],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Copy over what is there by the same names; without it that is refused.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy the demo policy into a folder, which then is a model repository like any other.

    Its weights are random: its actions mean nothing, so let no real arm follow them.

    Example:

    \b
      reflex demo copy models
      reflex serve --model-repository models
    """
    with reported_errors(as_json=as_json):
        load_extra("reflex_frontend.policy.shipped", "serve", as_json=as_json).copy_shipped(folder, replace=replace)
    if as_json:
        print_json({"repository": str(folder)})
    else:
        say(f"copied; next: reflex serve --model-repository {shlex.quote(str(folder))}")
