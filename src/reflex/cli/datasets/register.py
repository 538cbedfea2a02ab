"""`reflex datasets register` and `reflex datasets registered`: what the control plane knows of datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reflex.cli.control.answering import answer, table
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.cli.datasets.progress import shown_progress
from reflex.cli.datasets.show import DatasetArgument
from reflex.console import say

__all__ = ["register", "registered"]

COLUMNS = ("id", "state", "name", "place", "validatedAt")


@with_control_options
def register(
    at: ControlOptions,
    dataset: DatasetArgument,
    *,
    place: Annotated[
        str | None,
        typer.Option(metavar="PATH|HUB_ID", help="Where workers find it. Default: the folder's absolute path."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What people call it. Default: the folder's.")
    ] = None,
) -> None:
    """Tell the control plane of a dataset, by the hash of its files, and print its id. The files stay where they are.

    Registering it again is the same dataset; where a byte has changed since, it has to be validated again.

    Example:

    \b
      reflex datasets register recordings/2026-11-27/lerobot
    """
    from reflex.control.dataset_validation import register_folder

    with shown_progress("bytes read") as progress:
        made = answer(
            at,
            lambda client: register_folder(client, Path(dataset), place=place, name=name, tell=progress),
            lambda known: [known["id"]],
        )
    if not at.as_json and made["state"] != "valid":
        say(f"{made['state']}; next: reflex datasets validate {made['id']}")


@with_control_options
def registered(at: ControlOptions) -> None:
    """Show the datasets that the control plane knows: id, state, name, place, and when each was validated.

    Example:

    \b
      reflex datasets registered
    """
    answer(
        at,
        lambda client: client.list_datasets(),
        lambda found: table(COLUMNS, [{**each} for each in found["datasets"]]),
    )
