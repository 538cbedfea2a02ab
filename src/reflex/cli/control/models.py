"""`reflex models`: policies that were exported, as the control plane knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reflex.cli.control.answering import answer, reported, table
from reflex.cli.control.options import ControlOptions, with_control_options

__all__ = ["models"]

COLUMNS = ("id", "name", "modelVersion", "family", "embodiment", "trained", "revokedAt")

models = typer.Typer(help="Register exported policies.", no_args_is_help=True, rich_markup_mode=None)


@models.callback()
def _models() -> None:
    """Register exported policies."""


@models.command(short_help="Register a policy that was exported.")
@with_control_options
def register(
    at: ControlOptions,
    policy: Annotated[
        Path, typer.Argument(metavar="POLICY", help="Its folder in a model repository, like models/pick_cup.")
    ],
    *,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What people call it. Default: the policy's.")
    ] = None,
) -> None:
    """Register a policy that `reflex export` has published, and print its id. Its weights stay where they are.

    Example:

    \b
      reflex models register models/pick_cup
    """
    from reflex.sdk.files import read_policy

    with reported(at):
        found = read_policy(policy)
    answer(
        at,
        lambda client: client.register_model(
            name=name or found.name, content_hash=found.content_hash, config=found.config, source=found.source
        ),
        lambda made: [made["id"]],
    )


@models.command(name="list", short_help="Show every model.")
@with_control_options
def list_(at: ControlOptions) -> None:
    """Show every model: its id, name, version, family, embodiment, whether it is trained, and when it was revoked.

    Example:

    \b
      reflex models list
    """
    answer(
        at, lambda client: client.list_models(), lambda found: table(COLUMNS, [{**each} for each in found["models"]])
    )
